from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from hearth.benchmark import load_benchmark
from hearth.commands.status import _table
from hearth.core.files import write_json
from hearth.core.results import Results
from hearth.core.settings import Settings, validate_settings
from hearth.evaluation import identity
from hearth.launch.status import status

TASK = "turning_on_radio"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("PATH", str(tmp_path))  # no queue
    values = {
        "experiment": "x", "results": str(tmp_path), "benchmark": "household",
        "demonstrations": {}, "tasks": [TASK], "runs": {"main": {"steps": 100}},
        "evaluations": {
            "trained": {"policy": "main", "instances": 3},
            "expert": {"policy": "expert", "instances": 3},
        },
    }  # fmt: skip
    return validate_settings(values, source="test")


def test_every_stage_says_how_far_it_is(settings: Settings) -> None:
    benchmark, results = load_benchmark("household"), Results.of(settings)
    (results.checkpoints("main") / "40").mkdir(parents=True)
    hashes = identity.hashes(settings, benchmark, "expert", TASK)
    first, second, _ = identity.due_episodes(settings, benchmark, "expert")
    result = {"q_score": {"final": 1.0}, "status": "success", "provenance": hashes}
    write_json(results.episode("expert", TASK, *first), result)
    write_json(results.episode("expert", TASK, *second), {**result, "status": "crashed"})
    train, trained, expert = status(settings, benchmark, [TASK])
    assert (train.done, train.due) == (40, 100)
    assert trained.note == "waits for its policy" and trained.due == 3
    assert (expert.done, expert.due, expert.crashed, expert.running) == (1, 3, 1, 0)
    console = Console(width=120, record=True, quiet=True)
    console.print(_table(settings, benchmark, [TASK]))
