"""Temporary folders of processes that were killed by force do not pile up."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from hearth.core.temporary import TemporaryFolder
from hearth.evaluation.official_evaluator.traces import PredictionFolder

OWNER = """
import sys, time
from hearth.evaluation.official_evaluator.traces import PredictionFolder
predictions = PredictionFolder()
print(predictions.next_server()[1], flush=True)
time.sleep(600)
"""


@pytest.fixture
def node(tmp_path, monkeypatch):
    """A temporary folder of the node, for this process and those that it starts."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def start_owner():
    owner = subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    return owner, Path(owner.stdout.readline().strip())


def test_the_next_process_removes_what_a_killed_one_left_and_nothing_else(node):
    killed, left = start_owner()
    living, used = start_owner()
    foreign = node / "hearth-predictions-without-a-lock"
    foreign.mkdir()
    (left / "8000_1.jsonl").write_text('{"step": 0}\n')
    (used / "8000_1.jsonl").write_text('{"step": 0}\n')
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert left.is_dir(), "nobody is left who could remove it"
    try:
        predictions = PredictionFolder()
        mine = Path(predictions.next_server()[1])
        assert not left.exists()
        assert (used / "8000_1.jsonl").read_text() and foreign.is_dir()
        predictions.close()
        assert not mine.exists()
    finally:
        living.kill()
        living.communicate()
    with TemporaryFolder("predictions"):
        assert not used.exists()
    assert list(node.iterdir()) == [foreign]


def test_a_folder_goes_at_its_end_also_after_an_error(node):
    def fail() -> None:
        with TemporaryFolder("keys") as folder:
            assert folder.path.parent == node and folder.path.stat().st_uid == os.getuid()
            (folder.path / "keys.yaml").touch()
            raise RuntimeError("the server did not start")

    with pytest.raises(RuntimeError, match="did not start"):
        fail()
    assert not list(node.iterdir())


def test_where_there_are_no_locks_nothing_is_lost(node, monkeypatch):
    def refuse(handle: object, operation: int) -> None:
        raise OSError("no locks here")

    monkeypatch.setattr("hearth.core.temporary.fcntl.flock", refuse)
    first, second = TemporaryFolder("keys"), TemporaryFolder("keys")
    assert first.path.is_dir() and second.path.is_dir()
    first.remove()
    second.remove()
    assert not list(node.iterdir())
