"""Snakemake and its launchers killed by force at every stage of the whole workflow."""

from __future__ import annotations

import random
import shutil
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from tests.cluster.slurm import wait_for
from tests.cluster.small_workflow import Workflow
from tests.workflow.conftest import ROOT

# One worker runs all of these: they share an experiment.
pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("workflow")]

# At which stage who is killed, and the longest time [seconds] that is waited for first. A stage is
# done again after its kill, because Snakemake takes it for unfinished.
KILLS = (
    ("prepare", "snakemake", 4.0),
    ("prepare", "snakemake", 4.0),
    ("statistics", "snakemake", 4.0),
    ("statistics", "snakemake", 4.0),
    ("train", "snakemake", 6.0),
    ("train", "launcher", 3.0),
    ("evaluate/trained", "launcher", 3.0),
    ("evaluate/trained", "snakemake", 6.0),
    ("evaluate/trained", "launcher", 3.0),
    ("report", "snakemake", 1.0),
)


@pytest.mark.timeout(1500)
def test_ten_kills_at_random_moments_change_no_score(workflow: Workflow, tmp_path: Path) -> None:
    # Everything after the demonstrations is made anew.
    for name in ("episodes", "statistics", "runs/main", "evaluation", "leaderboard", "logs"):
        shutil.rmtree(workflow.results / name)
    moments = random.Random(11)
    for number, (stage, victim, most) in enumerate(KILLS):
        said = tmp_path / f"snakemake-{number}.log"
        process = _start(workflow, said)
        if number == 0:
            _refused_while_it_lives(workflow, process)
        _wait_for_stage(workflow, stage, process, said)
        time.sleep(moments.uniform(0.0, most))
        assert process.poll() is None, f"{stage} was over before the kill:\n{said.read_text()}"
        if victim == "launcher":
            for launcher in _launchers(process):
                launcher.kill()
            # It says which rule failed, and lets the others go on.
            process.wait(240)
            assert process.returncode == 1, said.read_text()
        else:
            process.kill()
            process.wait()
            done = _unlock(workflow)
            assert done.returncode == 0, done.stdout + done.stderr
    done = workflow.snakemake()
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-8000:]
    assert workflow.scores() == workflow.undisturbed


def _start(workflow: Workflow, said: Path) -> subprocess.Popen[bytes]:
    with said.open("w") as output:
        return subprocess.Popen(
            workflow.command(), cwd=workflow.folder, stdout=output, stderr=output
        )


def _wait_for_stage(
    workflow: Workflow, stage: str, process: subprocess.Popen[bytes], said: Path
) -> None:
    """Return when a command of the stage has begun in this Snakemake."""
    begun = psutil.Process(process.pid).create_time()
    logs = workflow.results / "logs" / stage

    def running() -> bool:
        assert process.poll() is None, f"it ended before {stage}:\n{said.read_text()}"
        return any(path.stat().st_mtime > begun for path in logs.glob("*"))

    wait_for(running, 300, stage)


def _launchers(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The launchers that wait below a Snakemake."""
    found: list[psutil.Process] = []

    def look() -> bool:
        below = psutil.Process(process.pid).children(recursive=True)
        found[:] = [item for item in below if "launch" in item.cmdline()[1:4]]
        return bool(found)

    wait_for(look, 60, "a launcher")
    return found


def _unlock(workflow: Workflow) -> subprocess.CompletedProcess[str]:
    """What `make unlock` does, in the folder where Snakemake runs."""
    command = [str(ROOT / "scripts/unlock.sh"), *workflow.command()]
    return subprocess.run(
        command, cwd=workflow.folder, capture_output=True, text=True, timeout=300, check=False
    )


def _refused_while_it_lives(workflow: Workflow, process: subprocess.Popen[bytes]) -> None:
    """A living Snakemake keeps its lock."""
    locks = workflow.folder / ".snakemake/locks"
    wait_for(lambda: list(locks.glob("*")), 60, "the lock")
    refused = _unlock(workflow)
    assert refused.returncode == 1
    assert f"still runs here as process {process.pid}; end it first" in refused.stderr
    assert list(locks.glob("*")), "nothing was unlocked"
