"""A run of two processes with a device each, against one process with one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from hearth.core.errors import TrainingError
from hearth.training import processes

ROOT = Path(__file__).parents[3]
STEPS = 6

# Its counterpart is the run of test_loop.
pytestmark = pytest.mark.xdist_group("training")


def start(folder: Path, **slurm: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.unit.training.several_processes", str(folder)],
        cwd=ROOT, env={**os.environ, **slurm}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def start_two(folder: Path, job: str) -> list[subprocess.Popen[str]]:
    """As srun starts one task on each of two nodes."""
    return [
        start(
            folder, SLURM_STEP_NUM_TASKS="2", SLURM_PROCID=str(number), SLURM_JOB_ID=job,
            SLURM_LAUNCH_NODE_IPADDR="127.0.0.1",
        )
        for number in range(2)
    ]  # fmt: skip


def end(started: list[subprocess.Popen[str]], code: int) -> None:
    for process in started:
        _, said = process.communicate(timeout=300)
        assert process.returncode == code, said


def lines(folder: Path) -> list[dict[str, float]]:
    path = folder / "test/runs/main/metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def weights(folder: Path) -> dict[str, np.ndarray]:
    (path,) = (folder / "test/runs/main/policy").glob("*.npz")
    with np.load(path) as arrays:
        return dict(arrays)


def test_two_processes_learn_what_one_learns_also_when_one_is_told_to_leave(
    tmp_path: Path, reference: Path
) -> None:
    alone, together = reference, tmp_path / "together"
    pair = start_two(together, "7")
    deadline = time.monotonic() + 240
    while len(lines(together)) < 2:
        assert time.monotonic() < deadline and all(item.poll() is None for item in pair)
        time.sleep(0.05)
    pair[1].send_signal(signal.SIGTERM)  # the other one learns of it
    end(pair, 128 + signal.SIGTERM)
    assert 2 <= len(lines(together)) < STEPS, "the signal came too late to prove anything"
    end(start_two(together, "8"), 0)

    assert [line["step"] for line in lines(together)] == list(range(1, STEPS + 1))
    for one, two in zip(lines(alone), lines(together), strict=True):
        assert one["total"] == pytest.approx(two["total"], rel=1e-4), one["step"]
    one, two = weights(alone), weights(together)
    assert one.keys() == two.keys()
    assert max(np.abs(one[name] - two[name]).max() for name in one) < 1e-3
    assert not list(together.rglob("meeting-*")), "the file by which they met is gone"


def test_a_process_alone_meets_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_STEP_NUM_TASKS", raising=False)
    processes.join(tmp_path, 1.0)
    assert processes.is_first() and processes.any_of(True) and not processes.any_of(False)


def test_a_first_process_that_never_comes_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"STEP_NUM_TASKS": "2", "PROCID": "1", "JOB_ID": "9"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    with pytest.raises(TrainingError, match=r"no process 0 wrote .*meeting-9-0-0.json within 1 s"):
        processes.join(tmp_path, 1.0)
