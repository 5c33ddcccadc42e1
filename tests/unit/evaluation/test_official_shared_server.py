"""Official evaluators that play with a policy server of another job, over the relay."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from official_setup import STANDIN, TASK, Case, CountingPolicy

from hearth.benchmark import load_benchmark
from hearth.core.errors import EvaluationError, ServingError
from hearth.core.files import read_json
from hearth.evaluation.backends import Backends
from hearth.evaluation.official_evaluator.relay import Relay, RelayedPolicy
from hearth.evaluation.run import evaluate_task
from hearth.evaluation.servers import SharedServerFile
from hearth.serving.access import Keys
from hearth.serving.record import ServerRecord, write_record
from hearth.serving.server import serve

HASH = "0123456789abcdef"
INDEX = load_benchmark("behavior-2026").task(TASK).index


class TaskCounting(CountingPolicy):
    """As the shared servers' policies, it needs to be told the task."""

    def act(self, observation: dict) -> np.ndarray:
        assert np.asarray(observation["task_id"]).item() == INDEX
        return super().act(observation)


class SharedServer:
    """A server process with a record, which can be killed and come back with another key.

    `script` is the file that serves, told the ready file and the key.
    """

    def __init__(self, folder: Path, script: Path = Path(__file__)) -> None:
        self._script = script
        self.record, self._ready, self._count = folder / "record.json", folder / "ready.json", 0

    def start(self) -> None:
        self._count += 1
        self._ready.unlink(missing_ok=True)
        key = f"the-key-of-server-{self._count}"
        command = [sys.executable, str(self._script), str(self._ready), key]
        self.process = subprocess.Popen(command, env={"PYTHONPATH": str(STANDIN.parent)})
        wait_for(self._ready.exists)
        port = read_json(self._ready)["port"]
        write_record(self.record, ServerRecord("127.0.0.1", port, key, HASH, str(self._count)))

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def wait_for(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 90.0
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[SharedServer]:
    server = SharedServer(tmp_path)
    server.start()
    yield server
    server.kill()


def play(case: Case, shared: SharedServer, **evaluation: Any) -> tuple[Any, dict[str, int]]:
    made = case.settings(workers=2, instances=4, **evaluation)
    backends = Backends(None, ("no", "server", "of", "its", "own"))
    file = SharedServerFile(str(shared.record), 60.0)
    return made, evaluate_task(made, "public", TASK, backends, shared_server=file)


@pytest.mark.parametrize("year, version", [(2025, "3.7.2"), (2026, "3.9.2")])
def test_evaluators_that_reconnect_at_once_go_on_each_with_its_own_episode(
    tmp_path, shared, year, version
):
    case = Case(tmp_path, (), year, version)
    for instance in (242, 295, 211, 203, 301, 302, 303, 304):
        case.fault(f"instance_{instance}", "reconnect")
    made, counts = play(case, shared)
    assert counts == {"due": 4, "kept": 0, "finished": 4, "crashed": 0}
    first = 1 if year == 2025 else 301
    results = [case.result(made, first + number) for number in range(4)]
    assert {result["provenance"]["attempts"] for result in results} == {1}
    assert len({words[2] for words in case.played()}) == 2, "two evaluators played"
    assert results[0]["provenance"]["device"] == "fake"
    assert results[0]["provenance"]["batch_sizes"] == [1]


def test_what_a_killed_server_cut_off_is_played_again_and_counts_as_no_attempt(tmp_path, shared):
    case = Case(tmp_path, (), 2026, "3.9.2")
    for instance in (301, 303):  # the first ones of two evaluators
        case.fault(f"once_{instance}", "wait")

    def replace_server() -> None:
        wait_for(lambda: len(list(case.faults.glob("waiting_*"))) == 2)
        shared.kill()
        (case.faults / "go").touch()
        shared.start()

    replacing = threading.Thread(target=replace_server)
    replacing.start()
    made, counts = play(case, shared, attempts=1)  # one more would be one too many
    replacing.join()
    assert counts == {"due": 4, "kept": 0, "finished": 4, "crashed": 0}
    attempts = [case.result(made, 301 + n)["provenance"]["attempts"] for n in range(4)]
    assert sorted(attempts) == [1, 1, 2, 2]
    logs = "".join(path.read_text() for path in tmp_path.glob("results/**/*.log"))
    assert "lost the connection to the policy server" in logs and "the-key-of" not in logs
    commands = [" ".join(one.info["cmdline"] or []) for one in psutil.process_iter(["cmdline"])]
    assert not [words for words in commands if str(shared.record) in words], "the relay has ended"


def test_an_episode_of_a_lost_server_is_over(tmp_path, shared):
    policy = RelayedPolicy(Relay(shared.record, HASH, INDEX, 1, 20.0))
    step = {"robot_r1::proprio": np.zeros(61, np.float32)}
    assert policy.act(step)[0] == 0
    shared.kill()
    shared.start()
    with pytest.raises(ServingError, match="lost the connection"):
        policy.act({"robot_r1::proprio": np.ones(61, np.float32)})
    with pytest.raises(ServingError, match="lost the connection"):
        policy.act(step)  # never goes on in the middle with a server that saw no beginning
    policy.reset()
    assert policy.act(step)[0] == 0


def test_a_server_of_another_policy_is_refused(tmp_path, shared):
    with pytest.raises(ServingError, match=f"serves policy {HASH}; this evaluation is of another"):
        Relay(shared.record, "another", INDEX, 1, 20.0).connect()
    case = Case(tmp_path, (), 2026, "3.9.2")
    record = read_json(shared.record)
    write_record(shared.record, ServerRecord(**{**record, "policy_hash": "another"}))
    with pytest.raises(EvaluationError, match="serves policy another"):
        play(case, shared)
    assert case.played() == []


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        serve(
            TaskCounting, "127.0.0.1", 0, metadata={"device": "fake", "batch_sizes": [1]},
            ready_file=Path(sys.argv[1]), keys=Keys.model_validate({"shared": sys.argv[2]}),
        )  # fmt: skip
