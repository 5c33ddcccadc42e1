from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path

import pytest

from hearth.core import claims


def write(path: Path, **values: object) -> Path:
    path.write_text(json.dumps(values))
    return path


def test_a_claim_is_held_by_one_and_given_back(tmp_path: Path) -> None:
    path = tmp_path / "claims" / "episode.json"
    with claims.heartbeat() as beat:
        assert claims.take(path) is None
        beat.add(path)
        holder = claims.take(path)
        assert holder is not None and holder["pid"] == os.getpid()
    assert not path.exists()


def test_a_dead_process_is_succeeded(tmp_path: Path) -> None:
    gone = 2**22 + 1  # above the largest process id
    path = write(tmp_path / "x.json", pid=gone, host=socket.gethostname(), created=0.0)
    assert claims.take(path) is None


def test_another_machine_counts_as_dead_after_silence(tmp_path: Path) -> None:
    path = write(tmp_path / "x.json", pid=1, host="elsewhere", created=0.0)
    assert claims.take(path) is not None
    long_ago = time.time() - claims.SILENCE_SECONDS - 1
    os.utime(path, (long_ago, long_ago))
    assert claims.take(path) is None


def test_a_requeued_job_succeeds_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "x.json", pid=1, host="lost-node", created=0.0, job="62")
    monkeypatch.setenv("SLURM_JOB_ID", "63")
    assert claims.take(path, succeed_own_job=True) is not None
    monkeypatch.setenv("SLURM_JOB_ID", "62")
    assert claims.take(path) is not None, "only where it is asked for"
    assert claims.take(path, succeed_own_job=True) is None


def test_the_heartbeat_keeps_a_claim_fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "HEARTBEAT_SECONDS", 0.02)
    path = tmp_path / "x.json"
    with claims.heartbeat() as beat:
        claims.take(path)
        os.utime(path, (1.0, 1.0))
        beat.add(path)
        deadline = time.monotonic() + 10
        while path.stat().st_mtime == 1.0:
            assert time.monotonic() < deadline
            time.sleep(0.01)
