"""A training that is longer than its jobs: at the time limit it goes on in the same or the next."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.slurm import Slurm, wait_for
from tests.cluster.test_several_nodes import Training

pytestmark = pytest.mark.cluster

# The notice comes 30 s ahead of the limit, or earlier: Slurm looks once a minute.
MINUTES = 2
RUN = {"steps": 24, "checkpoint_every": 100, "devices": 1}
SECONDS = 4.0  # of a step


@pytest.mark.timeout(600)
def test_a_training_that_reaches_its_time_limit_goes_on_with_the_same_losses(
    tmp_path: Path, slurm: Slurm
) -> None:
    names = ("undisturbed", "requeued", "forbidden")
    undisturbed, requeued, forbidden = (Training(tmp_path / name, slurm) for name in names)
    undisturbed.finish(undisturbed.start(nodes=1, run=RUN))
    assert list(undisturbed.losses()) == list(range(1, RUN["steps"] + 1))
    # At the same time, so that the limit is awaited once: a site that forbids requeueing.
    limits = {"minutes": MINUTES}
    first = requeued.start(nodes=1, run=RUN, seconds=SECONDS, resources=limits)
    second = forbidden.start(
        nodes=1, run=RUN, seconds=SECONDS, resources=limits | {"requeue": False}
    )
    wait_for(requeued.jobs, 60, "the first job")
    wait_for(lambda: _hurried(requeued) and first.poll() is not None, 400, "the end")

    requeued.finish(first)
    shown = requeued.shown(requeued.jobs()[0])
    assert "Requeue=1" in shown and "Restarts=0" not in shown, "it went on in the same job"
    said = forbidden.finish(second)
    assert said.count("submitting 1 jobs") == len(forbidden.jobs()) >= 2, said
    for name in forbidden.jobs():
        assert "Requeue=0 Restarts=0" in forbidden.shown(name)
    for training in (requeued, forbidden):
        assert "SIGTERM: writing a checkpoint before leaving" in training.log()
        assert "goes on from step" in training.log()
        assert training.losses() == undisturbed.losses()


def _hurried(training: Training) -> bool:
    """Slurm lets a requeued job wait for two minutes; this one need not. Always True."""
    for job in training.jobs():
        asked = ("squeue", "-h", "-j", job, "-o", "%T %r")
        if "PENDING BeginTime" in training.slurm.run(*asked, check=False):
            training.slurm.hurry(job)
    return True
