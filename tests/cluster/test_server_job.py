"""One policy server job for all shards of an evaluation."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cluster.conftest import Experiment
from tests.cluster.slurm import wait_for

pytestmark = pytest.mark.cluster

JOB = {"cpus": 1, "memory_megabytes": 500}


def served(experiment: Experiment) -> dict[str, Any] | None:
    """The record by which shards find the server; None while there is none."""
    for path in (experiment.folder / "results/fake/servers").glob("*.json"):
        try:
            return json.loads(path.read_text())
        except FileNotFoundError:
            return None
    return None


def test_a_server_job_that_is_requeued_costs_no_episode(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEARTH_FAKE_STEP", "0.5")
    shared = {"server": "shared", "shared_server": {"job": JOB}, "evaluate": JOB}
    launcher = experiment.start(instances=6, workers=1, launcher=shared)
    wait_for(lambda: len(experiment.played()) >= 2, 120, "the second episode")
    first = served(experiment)
    assert first is not None
    job = first["job"].split()[0]
    experiment.slurm.run("scontrol", "requeue", job)
    experiment.slurm.wait_requeued(job)
    experiment.slurm.hurry(job)
    wait_for(lambda: (served(experiment) or first) != first, 200, "the second start")
    second = served(experiment)
    assert second is not None and second["job"].split()[0] == job, experiment.log()
    assert experiment.finish(launcher)["complete"]
    wait_for(lambda: not experiment.jobs(), 60, "the end of all jobs")
    assert served(experiment) is None, "the record goes with the server"
