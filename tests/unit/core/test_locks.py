"""A lock that one process holds and others wait for, on real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from hearth.core import locks
from hearth.core.errors import StorageError
from hearth.core.locks import alone

HOLD = """
import sys, time
from pathlib import Path
from hearth.core.locks import alone
with alone(Path(sys.argv[1]), "at it"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "LOOK_SECONDS", 0.02)


def holder(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "SLURM_JOB_ID": "62"},
    )  # fmt: skip
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_the_second_process_says_whom_it_waits_for_until_that_one_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "REPEAT_SECONDS", 0.2)
    path, said = tmp_path / "locks" / "prepare", []
    with holder(path) as first:
        threading.Timer(0.7, first.send_signal, [signal.SIGKILL]).start()
        started = time.monotonic()
        with alone(path, "preparing turning_on_radio", said.append):
            assert time.monotonic() - started > 0.5, "it waited"
    assert f"process {first.pid} on " in said[0] and "(Slurm job 62)" in said[0]
    assert said[0].endswith("is preparing turning_on_radio already; waiting for it to end")
    assert 2 <= len(said) <= 5, "said again, but not at every look"


def test_a_free_lock_is_taken_without_a_word_and_its_file_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "lock"
    for _ in range(2):
        with alone(path, "at it"):
            assert path.read_text().startswith(f"process {os.getpid()} on ")
    assert path.exists() and capsys.readouterr().err == ""


def test_a_failure_gives_the_lock_back(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no"), alone(tmp_path / "lock", "at it"):
        raise ValueError("no")
    with alone(tmp_path / "lock", "at it", pytest.fail):
        pass


def test_a_waiting_process_leaves_when_it_is_told_to(tmp_path: Path) -> None:
    with holder(tmp_path / "lock") as first:
        second = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(tmp_path / "lock")], stderr=subprocess.PIPE, text=True
        )
        assert second.stderr is not None and "waiting for it to end" in second.stderr.readline()
        second.terminate()
        second.communicate(timeout=10)
        assert second.returncode == -signal.SIGTERM and first.poll() is None
        first.kill()


def test_a_file_system_without_locks_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(locks.fcntl, "flock", refuse)
    with (
        pytest.raises(StorageError, match=r"cannot lock .*not implemented.*-o flock"),
        alone(tmp_path / "lock", "at it"),
    ):
        raise AssertionError("taken")
