"""A shared policy server acts in every task as the task's own server does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hearth.benchmark import load_benchmark
from hearth.core.results import Results
from hearth.core.settings import validate_settings
from hearth.evaluation.run import default_backends, shared_server_command
from hearth.policy import runner
from hearth.serving import __main__ as serving
from hearth.serving import bundle_server

from .conftest import TASKS, ImaginedRunner

_PYTHON_AND_MODULE = 3


def test_the_commands_make_the_same_policies(
    bundle_path: Path,
    observation: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = {
        "experiment": "e", "results": str(tmp_path), "benchmark": "household", "seed": 5,
        "demonstrations": {}, "runs": {"main": {}},
        "evaluations": {"trained": {"runtime": {"flow_steps": 2, "actions_to_execute": 3}}},
    }  # fmt: skip
    settings = validate_settings(values, source="test")
    place = Results.of(settings).bundle("main")
    place.parent.mkdir(parents=True)
    place.symlink_to(bundle_path)
    served: list[Any] = []
    monkeypatch.setattr(runner, "PolicyRunner", ImaginedRunner)
    monkeypatch.setattr(bundle_server, "_compile", lambda policy, blank, sizes: None)
    monkeypatch.setattr(
        bundle_server, "serve", lambda make, *place, **options: served.append((make, options))
    )

    def policy(command: tuple[str, ...] | None) -> Any:
        assert command is not None
        assert serving.main([*command[_PYTHON_AND_MODULE:], "--port", "0"]) == 0
        make, options = served[-1]
        return make(), options["settings"], options["metadata"]["batch_sizes"]

    shared, limits, sizes = policy(shared_server_command(settings, "trained", "main", 4))
    assert limits.connections > 800 and sizes == [4]
    benchmark = load_benchmark("household")
    found = []
    for task in TASKS:
        seen = {**observation, "task_id": np.array([benchmark.task(task).index])}
        own, limits, _ = policy(default_backends(settings, benchmark, "trained", task).server)
        assert limits.batch_sizes == (1,)
        shared.reset()
        for _ in range(5):
            found.append(shared.act(seen))
            np.testing.assert_array_equal(found[-1], own.act(seen))
    assert np.abs(found[0] - found[5]).max() > 0, "each task has noise of its own"
