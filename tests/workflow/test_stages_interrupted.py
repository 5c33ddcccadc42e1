"""Ctrl-C, kill -9 and a full disk in the middle of each command: plain words, and on it goes."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.workflow.conftest import BIN, TASK, Workflow

pytestmark = [pytest.mark.workflow, pytest.mark.xdist_group("workflow")]

# Per command: its arguments, and what it makes below the experiment's folder.
STAGES: dict[str, tuple[list[str], list[str]]] = {
    "demos": (["--task", TASK], ["dataset", "demonstrations"]),
    "prepare": (["--task", TASK], ["episodes"]),
    "statistics": ([], ["statistics.h5", "statistics"]),
    "train": (["--run", "main"], ["runs/main"]),
    "evaluate": (["--evaluation", "trained", "--task", TASK], ["evaluation/trained"]),
    "report": ([], ["leaderboard"]),
}


@dataclass
class Stage:
    """One command on a copy of the finished experiment that lacks what the command makes."""

    command: list[str]
    results: Path
    made: list[str]

    def clear(self) -> None:
        for name in self.made:
            path = self.results / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def start(self, limit: Callable[[], None] | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True, preexec_fn=limit,
        )  # fmt: skip

    def finish(self) -> float:
        """Run to the end; the seconds it took."""
        started = time.monotonic()
        process = self.start()
        output, _ = process.communicate(timeout=240)
        assert process.returncode == 0, output[-4000:]
        assert (self.results / self.made[0]).exists()
        return time.monotonic() - started


def make_stage(finished: Workflow, folder: Path, name: str) -> Stage:
    arguments, made = STAGES[name]
    results = folder / "results" / "small"
    shutil.copytree(finished.results, results)
    command = [
        str(BIN / "hearth"), name, "--config", str(finished.config),
        "--set", f"results={folder / 'results'}", *arguments,
    ]  # fmt: skip
    stage = Stage(command, results, made)
    stage.clear()
    return stage


def interrupted(stage: Stage, number: signal.Signals, delay: float) -> str:
    """What the command printed that a signal ended after `delay` seconds, or sooner where the
    command was done by then: a first run is slower than those after it."""
    for _ in range(8):
        started = time.monotonic()
        process = stage.start()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=delay)
        if process.poll() is None:
            # A terminal sends Ctrl-C to the whole group; kill -9 hits the command alone.
            send = os.killpg if number == signal.SIGINT else os.kill
            send(process.pid, number)
        output, _ = process.communicate(timeout=120)
        if process.returncode != 0:
            return output
        stage.clear()  # it was done before the signal came
        delay = 0.7 * min(delay, time.monotonic() - started)
    raise AssertionError("no signal came in time")


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_goes_on_after_control_c_and_kill_9(
    finished: Workflow, tmp_path: Path, name: str
) -> None:
    stage = make_stage(finished, tmp_path, name)
    seconds = stage.finish()
    stage.clear()
    output = interrupted(stage, signal.SIGINT, 0.8 * seconds)
    if "hearth:" in output:
        assert "Traceback" not in output, output[-4000:]
    interrupted(stage, signal.SIGKILL, 0.4 * seconds)
    stage.finish()


def test_an_evaluation_on_a_full_disk(finished: Workflow, tmp_path: Path) -> None:
    stage = make_stage(finished, tmp_path, "evaluate")
    process = stage.start(lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000)))
    output, _ = process.communicate(timeout=240)
    assert process.returncode != 0
    assert "cannot write" in output, output[-4000:]
    assert "Traceback" not in output, output[-4000:]
    assert not list(stage.results.joinpath("evaluation/trained").rglob("*.tmp"))
    stage.finish()
