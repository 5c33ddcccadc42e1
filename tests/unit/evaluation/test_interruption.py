"""An evaluation that is ended from outside leaves no process behind and goes on afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from evaluation_setup import BACKENDS, TASK, played

from hearth.core.results import Results
from hearth.evaluation.merge import merge_and_write
from hearth.evaluation.run import evaluate_task


def alive(process: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return stat.rsplit(")", 1)[1].split()[0] != "Z"


def wait_for(condition, seconds=30.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_evaluation_leaves_no_process_and_the_next_one_completes_it(
    settings, faults, tmp_path, monkeypatch, number
):
    made = settings(instances=4, workers=1, video=True, video_size=32)
    monkeypatch.setenv("HEARTH_FAKE_STEP", "0.1")
    code = (
        "from evaluation_setup import *; from hearth.evaluation.run import evaluate_task; "
        f"evaluate_task(make_settings({str(tmp_path / 'results')!r}, instances=4, workers=1, "
        "video=True, video_size=32), "
        f"'trained', {TASK!r}, BACKENDS)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE)
    first = Results.of(made).episode("trained", TASK, 301, 0)
    wait_for(lambda: first.exists() and len(played(faults)) > 1)
    children = {int(line.split()[1]) for line in (faults / "played").read_text().splitlines()}
    children.add(int((faults / "server_pid").read_text()))
    assert all(alive(child) for child in children)
    os.kill(parent.pid, number)
    parent.communicate(timeout=20)
    assert parent.returncode != 0
    wait_for(lambda: not any(alive(child) for child in children))
    before = first.read_bytes()
    assert merge_and_write(made, "trained", TASK)["counts"]["missing"] >= 1
    monkeypatch.setenv("HEARTH_FAKE_STEP", "0")
    counts = evaluate_task(made, "trained", TASK, BACKENDS)
    assert counts["kept"] >= 1 and counts["kept"] + counts["finished"] == 4
    assert first.read_bytes() == before and played(faults).count(301) == 1
    assert merge_and_write(made, "trained", TASK)["complete"]
    folder = first.parent
    assert not [path.name for path in folder.iterdir() if path.suffix not in (".json", ".mp4")]


def test_the_worker_ends_when_its_starter_is_already_gone(faults):
    """The starter may die before the worker asks to be ended with it."""
    command = [sys.executable, "-m", "hearth.evaluation.worker", "--events", "2", "--parent", "1"]
    done = subprocess.run(command, stdin=subprocess.PIPE, capture_output=True, timeout=30)
    assert done.returncode == 1 and done.stdout == b""
