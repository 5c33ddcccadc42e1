from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from pathlib import Path

import pytest

from hearth.core.errors import TrainingError
from hearth.training.lease import lease


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hearth.training.lease._LEAVING_SECONDS", 0.0)
    monkeypatch.setattr("hearth.training.lease._LOOK_SECONDS", 0.02)


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


def test_a_writer_that_is_leaving_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hearth.training.lease._LEAVING_SECONDS", 30.0)
    with contextlib.ExitStack() as first:
        first.enter_context(lease(tmp_path))
        threading.Timer(0.3, first.pop_all().close).start()
        with lease(tmp_path):
            said = capsys.readouterr().err
    assert said.count("\n") == 1 and "waiting up to 30 s for it to leave" in said


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
