"""Snakemake and its launchers killed by force at every stage of the whole workflow."""

from __future__ import annotations

import contextlib
import random
import shutil
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from hearth.core.locks import alone
from hearth.core.results import Results
from hearth.launch.names import experiment_key
from tests.cluster.slurm import wait_for
from tests.cluster.small_workflow import Workflow
from tests.workflow.conftest import ROOT, TASK

# One worker runs all of these: they share an experiment.
pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("workflow")]

# At which stage who is killed, and the longest time [seconds] that is waited for first.
KILLS = (
    ("demonstrations", "snakemake", 2.0),
    ("demonstrations", "snakemake", 2.0),
    ("demonstrations", "snakemake", 8.0),
    ("prepare", "snakemake", 4.0),
    ("statistics", "snakemake", 4.0),
    ("train", "launcher", 2.0),
    ("train", "snakemake", 8.0),
    ("evaluate/trained", "launcher", 1.0),
    ("evaluate/trained", "snakemake", 4.0),
    ("report", "snakemake", 3.0),
)


@pytest.mark.timeout(1500)
def test_ten_kills_at_random_moments_change_no_score(workflow: Workflow, tmp_path: Path) -> None:
    shutil.rmtree(workflow.results)
    moments = random.Random(11)
    # The first recording is long: this process has its lock, as a job that Snakemake left would.
    lock = Results.of(workflow.settings()).lock("demonstrations", TASK)
    held = contextlib.ExitStack()
    held.enter_context(alone(lock, "recording"))
    for number, (stage, victim, most) in enumerate(KILLS):
        said = tmp_path / f"snakemake-{number}.log"
        process = _start(workflow, said)
        if number == 0:
            _refused_while_it_lives(workflow, process)
        _wait_for_stage(workflow, stage, process, said, "waiting for it to end" * (number < 2))
        if victim == "launcher":
            _kill_launchers(process, moments.uniform(0.0, most), said)
            # It says which rule failed, and lets the others go on.
            process.wait(240)
            assert process.returncode == 1, said.read_text()
        else:
            time.sleep(moments.uniform(0.0, most))
            assert process.poll() is None, f"{stage} was over before the kill:\n{said.read_text()}"
            process.kill()
            process.wait()
            # `snakemake --unlock` leaves the jobs of the executor at work, `make unlock` does not.
            done = _unlock(workflow) if number % 2 else workflow.snakemake("--unlock")
            assert done.returncode == 0, done.stdout + done.stderr
            if number == 1:
                text = f"(rule_demonstrations_wildcards_{TASK}), which a killed Snakemake left"
                assert done.stdout.count(text) == 2, "of both Snakemakes"
                assert not _short_jobs(workflow)
                held.close()
    done = workflow.snakemake()
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-8000:]
    assert workflow.scores() == workflow.undisturbed


def _start(workflow: Workflow, said: Path) -> subprocess.Popen[bytes]:
    with said.open("w") as output:
        return subprocess.Popen(
            workflow.command(), cwd=workflow.folder, stdout=output, stderr=output
        )


def _wait_for_stage(
    workflow: Workflow, stage: str, process: subprocess.Popen[bytes], said: Path, text: str
) -> None:
    """Return when a command of the stage has begun in this Snakemake, and its log holds `text`."""
    begun = psutil.Process(process.pid).create_time()
    logs = workflow.results / "logs" / stage

    def running() -> bool:
        assert process.poll() is None, f"it ended before {stage}:\n{said.read_text()}"
        fresh = [path for path in logs.glob("*") if path.stat().st_mtime > begun]
        return any(text in path.read_text() for path in fresh)

    wait_for(running, 300, stage)


def _kill_launchers(process: subprocess.Popen[bytes], seconds: float, said: Path) -> None:
    """Kill those that wait below a Snakemake, so long after the first one is seen."""
    snakemake = psutil.Process(process.pid)

    def launchers() -> list[psutil.Process]:
        assert process.poll() is None, f"it ended without a launcher:\n{said.read_text()}"
        below = snakemake.children(recursive=True)
        return [item for item in below if item.is_running() and "launch" in _words(item)[1:4]]

    wait_for(launchers, 60, "a launcher")
    time.sleep(seconds)
    # It may just be done, and another rule's begin.
    wait_for(launchers, 60, "a launcher")
    for launcher in launchers():
        launcher.kill()


def _words(process: psutil.Process) -> list[str]:
    with contextlib.suppress(psutil.Error):
        return process.cmdline()
    return []


def _short_jobs(workflow: Workflow) -> list[str]:
    """Names of the jobs of Snakemake's executor that have not ended."""
    key = experiment_key(workflow.settings())
    lines = workflow.slurm.run("squeue", "-h", "-o", "%w %j").splitlines()
    return [line for line in lines if line.startswith(key) and f" {key}" not in line]


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
