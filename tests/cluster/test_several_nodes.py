"""One run of training over both nodes: requeued, diverging, and gone on with on one node."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from hearth.launch.executors import TOGETHER_SECONDS
from tests.cluster.conftest import ROOT
from tests.cluster.slurm import Slurm, wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("several nodes")]

STEPS = 8
RUN = {"steps": STEPS, "checkpoint_every": 2, "devices": 2}


class Training:
    """Launches the small run with its results in one folder."""

    def __init__(self, folder: Path, slurm: Slurm) -> None:
        self.folder, self.slurm = folder, slurm
        self.run = folder / "test/runs/main"

    def start(
        self,
        *,
        nodes: int = 2,
        run: dict[str, Any] | None = None,
        resources: dict[str, Any] | None = None,
        **values: Any,
    ) -> subprocess.Popen[str]:
        wanted = {"partition": "cpu", "nodes": nodes, "cpus": 2, "memory_megabytes": 4000}
        wanted |= resources or {}
        launcher = {"executor": "slurm", "poll_seconds": 1.0, "attempts": 2, "train": wanted}
        words = json.dumps({"run": RUN | (run or {}), "launcher": launcher, **values})
        return subprocess.Popen(
            [sys.executable, "-m", "tests.cluster.launch_training", str(self.folder), words],
            cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    def finish(self, launcher: subprocess.Popen[str], code: int = 0) -> str:
        """What the launcher said until it ended."""
        _, said = launcher.communicate(timeout=400)
        assert launcher.returncode == code, said + self.log()
        return said

    def losses(self) -> dict[int, float]:
        path = self.run / "metrics.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return {line["step"]: line["total"] for line in map(json.loads, lines)}

    def checkpoints(self) -> list[int]:
        names = [path.name for path in (self.run / "checkpoints").iterdir()]
        return sorted(int(name) for name in names if name.isdigit())

    def log(self) -> str:
        """What the jobs wrote."""
        logs = sorted(self.folder.glob("test/jobs/train-main/*_log.out"))
        return "\n".join(f"--- {log.name}\n{log.read_text()[-20000:]}" for log in logs)

    def jobs(self) -> list[str]:
        """The jobs that were submitted, the first one first."""
        scripts = self.folder.glob("test/jobs/train-main/[0-9]*_submission.sh")
        return sorted((path.name.split("_")[0] for path in scripts), key=int)

    def job(self) -> str:
        """The one job that was submitted."""
        (job,) = self.jobs()
        return job

    def shown(self, job: str = "") -> str:
        """A job, the only one or this, in Slurm's words."""
        return self.slurm.run("scontrol", "show", "job", job or self.job())


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, slurm: Slurm) -> Training:
    training = Training(tmp_path_factory.mktemp("undisturbed"), slurm)
    training.finish(training.start())
    assert "NodeList=n[1-2]" in training.shown()
    assert list(training.losses()) == list(range(1, STEPS + 1))
    return training


def at_third_step(
    folder: Path, slurm: Slurm, **values: Any
) -> tuple[Training, subprocess.Popen[str]]:
    """A training of two nodes that has done three steps, and its launcher."""
    training = Training(folder, slurm)
    launcher = training.start(**values)
    wait_for(lambda: len(training.losses()) >= 3, 200, "the third step")
    return training, launcher


def test_a_requeued_run_of_two_nodes_goes_on_with_the_same_losses(
    undisturbed: Training, tmp_path: Path, slurm: Slurm
) -> None:
    training, launcher = at_third_step(tmp_path, slurm, seconds=1.0)
    job = training.job()
    slurm.run("scontrol", "requeue", job)
    slurm.wait_requeued(job)
    left = training.checkpoints()[-1]
    assert 3 <= left < STEPS, "both processes wrote a checkpoint where they were"
    slurm.hurry(job)
    training.finish(launcher)
    assert "Restarts=1" in training.shown(), "it went on in the same job"
    assert f"goes on from step {left}" in training.log()
    assert training.losses() == undisturbed.losses()


def test_a_node_that_hangs_ends_the_job_within_the_set_time(
    undisturbed: Training, tmp_path: Path, slurm: Slurm
) -> None:
    limit = 15.0
    limits = {"step_timeout_seconds": limit, "start_timeout_seconds": 90.0}
    training, launcher = at_third_step(tmp_path, slurm, seconds=0.5, run=limits)
    first = training.job()
    stopped = time.monotonic()
    _process(first, number=1).suspend()
    mine = ("squeue", "-h", "-j", first)
    wait_for(lambda: not slurm.run(*mine, check=False), 120, "the job's end")
    # The step's time, the time that srun leaves the other process, and Slurm's KillWait.
    assert time.monotonic() - stopped < limit + TOGETHER_SECONDS + 10 + 20
    training.finish(launcher)
    assert "hangs: step" in training.log() and "leaving with exit code 75" in training.log()
    assert "JobState=FAILED" in training.shown(first) and len(training.jobs()) >= 2
    assert "goes on from step" in training.log()
    assert training.losses() == undisturbed.losses()


def test_a_lost_node_ends_the_job_and_the_run_goes_on(
    undisturbed: Training, tmp_path: Path, slurm: Slurm
) -> None:
    training, launcher = at_third_step(tmp_path, slurm, seconds=0.5)
    job = training.job()
    node = ("scontrol", "update", "NodeName=n2")
    slurm.run(*node, "State=DOWN", "Reason=power")
    try:
        slurm.wait_requeued(job)
    finally:
        slurm.run(*node, "State=RESUME", check=False)  # it may have come back by itself
    slurm.hurry(job)
    training.finish(launcher)
    assert "Restarts=1" in training.shown(job), "the job was thrown off its nodes"
    assert "goes on from step" in training.log()
    assert training.losses() == undisturbed.losses()


def _process(job: str, number: int) -> psutil.Process:
    """The process of a job that trains on its node of this number."""
    wanted = {"SLURM_JOB_ID": job, "SLURM_PROCID": str(number)}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            environment = process.environ()
            if wanted.items() <= environment.items() and "submitit" in str(process.cmdline()):
                return process
    raise AssertionError(f"no process {number} of job {job}")


def test_no_number_on_one_of_two_nodes_stops_the_run(tmp_path: Path, slurm: Slurm) -> None:
    training = Training(tmp_path, slurm)
    said = training.finish(training.start(poisoned=4), code=1)
    assert "diverged at step 5 (batch 4)" in said and "nan" in said, said
    assert "The last good checkpoint is 4" in said, said
    assert training.checkpoints() == [2, 4] and not (training.run / "finished.json").exists()
    job = training.job()  # no second one was submitted
    wait_for(lambda: not slurm.run("squeue", "-h", "-j", job, check=False), 60, "the job's end")
    assert "JobState=COMPLETED" in training.shown() and "Restarts=0" in training.shown()


def test_a_run_of_two_nodes_goes_on_on_one(
    undisturbed: Training, tmp_path: Path, slurm: Slurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(undisturbed.run, tmp_path / "test/runs/main")
    training = Training(tmp_path, slurm)
    assert training.checkpoints() == [STEPS - 2, STEPS]
    shutil.rmtree(training.run / f"checkpoints/{STEPS}")
    (training.run / "finished.json").unlink()
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=2")
    training.finish(training.start(nodes=1))
    assert f"goes on from step {STEPS - 2}" in training.log()
    assert training.losses().keys() == undisturbed.losses().keys()
    for step, loss in undisturbed.losses().items():
        assert training.losses()[step] == pytest.approx(loss, rel=1e-4), step
