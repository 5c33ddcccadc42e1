from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path

import pytest

from hearth.core.errors import TrainingError
from hearth.training.lease import lease


def write(folder: Path, **values: object) -> Path:
    path = folder / "writer.json"
    path.write_text(json.dumps(values))
    return path


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    with lease(tmp_path):
        with (
            pytest.raises(TrainingError, match=f"process {os.getpid()} on {socket.gethostname()}"),
            lease(tmp_path),
        ):
            raise AssertionError("two writers")
        assert (tmp_path / "writer.json").exists(), "the refused one leaves the lease alone"
    assert not (tmp_path / "writer.json").exists()
    with lease(tmp_path):
        pass


def test_a_dead_process_is_succeeded(tmp_path: Path) -> None:
    gone = 2**22 + 1  # above the largest process id
    write(tmp_path, pid=gone, host=socket.gethostname(), created=0.0)
    with lease(tmp_path):
        assert json.loads((tmp_path / "writer.json").read_text())["pid"] == os.getpid()


def test_a_reused_process_id_is_not_the_writer(tmp_path: Path) -> None:
    write(tmp_path, pid=os.getpid(), host=socket.gethostname(), created=1.0)
    with lease(tmp_path):
        pass


def test_another_machine_counts_as_dead_after_silence(tmp_path: Path) -> None:
    path = write(tmp_path, pid=1, host="elsewhere", created=0.0)
    with pytest.raises(TrainingError, match="process 1 on elsewhere"), lease(tmp_path):
        raise AssertionError("two writers")
    long_ago = time.time() - 3600
    os.utime(path, (long_ago, long_ago))
    with lease(tmp_path):
        pass


def test_a_torn_lease_is_taken(tmp_path: Path) -> None:
    (tmp_path / "writer.json").write_text("{")
    with lease(tmp_path):
        pass
