"""How an evaluation finds a policy server of another job, and what it makes of its end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from evaluation_fakes import CountingPolicy
from evaluation_setup import BACKENDS, TASK

from hearth.benchmark import load_benchmark
from hearth.core.errors import EvaluationError, ServingError
from hearth.core.files import read_json
from hearth.core.results import Results
from hearth.evaluation import identity
from hearth.evaluation.pending import PendingEpisodes
from hearth.evaluation.run import evaluate_task
from hearth.evaluation.servers import SharedServerFile, SharedServers
from hearth.serving.access import Access, Keys
from hearth.serving.record import ServerRecord, read_record, remove_record, write_record
from hearth.serving.server import open_server

KEY, HASH = "a-key-for-all-shards", "0123456789abcdef"


@contextlib.contextmanager
def serving() -> Iterator[int]:
    """A server in a thread that wants the key; its port."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def wait(coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(60)

    access = Access(Keys.model_validate({"shared": KEY}), one_evaluator_per_port=False)
    server = open_server(
        CountingPolicy, "127.0.0.1", [0], metadata={"device": "fake"}, access=access
    )
    try:
        (port,) = wait(server.__aenter__())
        yield port
        wait(server.__aexit__(None, None, None))
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def record_of(port: int, **changes: Any) -> ServerRecord:
    values = {"key": KEY, "policy_hash": HASH, "job": "1 on n1", **changes}
    return ServerRecord("127.0.0.1", port, **values)


def test_an_evaluation_plays_with_the_server_that_the_record_names(settings, faults, tmp_path):
    path = tmp_path / "servers" / "one.json"
    with serving() as port:
        write_record(path, record_of(port))
        counts = evaluate_task(
            settings(), "trained", TASK, BACKENDS, shared_server=SharedServerFile(str(path), 30.0)
        )
    assert counts == {"due": 3, "kept": 0, "finished": 3, "crashed": 0}
    assert not (faults / "server_pid").exists(), "no server of its own was started"
    logs = Results.of(settings()).evaluation("trained") / "logs"
    assert not any(KEY in log.read_text() for log in logs.glob("*.log"))


def test_only_a_server_that_answers_and_takes_the_key_counts(tmp_path, capsys):
    path = tmp_path / "server.json"

    def look(wait_seconds: float = 30.0) -> ServerRecord | None:
        return SharedServers(SharedServerFile(str(path), wait_seconds), HASH).current()

    with serving() as port:
        write_record(path, record_of(port))
        assert look() == record_of(port)
        write_record(path, record_of(port, key="of-an-earlier-server"))
        assert look() is None
        assert "401" in capsys.readouterr().err
        write_record(path, record_of(port, policy_hash="another"))
        with pytest.raises(EvaluationError, match=f"serves policy another; .* is of {HASH}"):
            look()
    write_record(path, record_of(port))
    assert look() is None, "the record of a killed server"
    path.unlink()
    with pytest.raises(EvaluationError, match=r"no shared policy server within .*server.json"):
        look(-1.0)


def test_a_record_that_others_could_read_or_that_is_none_is_refused(tmp_path):
    path = tmp_path / "server.json"
    assert read_record(path) is None
    write_record(path, record_of(1))
    assert KEY not in repr(read_record(path))
    path.chmod(0o640)
    with pytest.raises(ServingError, match=r"mode 640.*must have mode 600"):
        read_record(path)
    path.chmod(0o600)
    for content in ("{", json.dumps({"host": "n1"}), json.dumps([1])):
        path.write_text(content)
        with pytest.raises(ServingError, match=r"server\.json"):
            read_record(path)


def test_a_server_removes_its_own_record_only(tmp_path):
    path = tmp_path / "server.json"
    write_record(path, record_of(2))
    remove_record(path, record_of(1))
    assert read_record(path) == record_of(2)
    remove_record(path, record_of(2))
    assert not path.exists()


def test_ends_of_servers_are_no_attempts_until_an_episode_outlives_none(settings, tmp_path: Path):
    made = settings(attempts=2)
    benchmark = load_benchmark("household")
    hashes = identity.hashes(made, benchmark, "trained", TASK)
    pending = PendingEpisodes(made, benchmark, "trained", TASK, hashes, lambda *said: None)
    pending.open([(301, 0)])
    tries = 0
    while (episode := pending.take()) is not None:
        pending.cut_off(episode, "lost the connection", [])
        tries += 1
    pending.close()
    result = read_json(Results.of(made).episode("trained", TASK, 301, 0))
    assert result["status"] == "crashed" and "lost the connection" in result["reason"]
    assert tries == result["provenance"]["attempts"] == 4
