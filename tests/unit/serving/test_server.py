"""Server and client over a real socket."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import msgpack
import numpy as np
import pytest
from serving_fakes import FakePolicy
from websockets.sync.client import connect

from hearth.core.errors import ServingError
from hearth.core.files import read_json
from hearth.serving import wire
from hearth.serving.client import PolicyClient, ServerLostError, wait_until_healthy
from hearth.serving.server import serve

FAKES = Path(__file__).parent / "serving_fakes.py"


def start(folder: Path, port: int = 0) -> tuple[subprocess.Popen, int]:
    ready = folder / "ready.json"
    command = [sys.executable, str(FAKES), str(ready), str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    opened = read_json(ready)["port"]
    assert line == f"listening on 127.0.0.1:{opened}\n"
    return process, opened


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    process, opened = start(tmp_path_factory.mktemp("server"))
    yield opened
    process.kill()
    process.communicate()


def health(port: int) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
        return answer.read()


def raw(port: int):
    return connect(f"ws://127.0.0.1:{port}", compression=None, max_size=None, proxy=None)


def test_metadata_comes_first_and_a_reset_has_no_answer(port):
    with raw(port) as client:
        assert wire.unpack(client.recv()) == {"policy": "fake"}
        client.send(wire.pack({"reset": True}))
        client.send(wire.pack({"task_id": np.array([3]), "image": np.ones((2, 2), np.uint8)}))
        answer = wire.unpack(client.recv())
        assert answer["action"].dtype == np.float32
        assert answer["action"][:3].tolist() == [3.0, 0.0, 4.0]
        np.testing.assert_array_equal(answer["actions"], answer["action"][None])
        assert answer["server_timing"]["infer_ms"] >= 0
        assert "prev_total_ms" not in answer["server_timing"]
        client.send(wire.pack({"task_id": np.array([3])}))
        assert wire.unpack(client.recv())["server_timing"]["prev_total_ms"] > 0


def test_health_answers_also_while_the_policy_thinks(port):
    assert health(port) == b"OK\n"
    with PolicyClient("127.0.0.1", port) as client:
        thinking = threading.Thread(target=client.act, args=({"order": "sleep"},))
        thinking.start()
        time.sleep(0.2)
        started = time.monotonic()
        assert health(port) == b"OK\n"
        assert time.monotonic() - started < 1.0
        thinking.join()


def test_each_connection_has_its_own_episode(port):
    with PolicyClient("127.0.0.1", port) as one, PolicyClient("127.0.0.1", port) as two:
        assert [one.act({})[1] for _ in range(3)] == [0, 1, 2]
        assert two.act({})[1] == 0
        one.reset()
        assert two.act({})[1] == 1
        assert one.act({})[1] == 0


@pytest.mark.parametrize(
    "order, message",
    [
        ("raise", "ValueError: division of a robot"),
        ("refuse", "lacks 'robot_r1::proprio'"),
        ("nan", "no finite action"),
    ],
)
def test_an_error_in_the_policy_reaches_its_client_as_text_and_no_other(port, order, message):
    with PolicyClient("127.0.0.1", port) as other, PolicyClient("127.0.0.1", port) as client:
        other.act({})
        with pytest.raises(ServingError, match=message) as caught:
            client.act({"order": order})
        assert not isinstance(caught.value, ServerLostError)
        with pytest.raises(ServerLostError, match="lost the connection"):
            client.act({})
        assert other.act({})[1] == 1


@pytest.mark.parametrize(
    "frame, message",
    [
        (b"\xc1", "not valid msgpack"),
        (b"", "not valid msgpack"),
        (msgpack.packb([1, 2]), "send a map"),
        ("hello", "text frame"),
        (msgpack.packb({b"__ndarray__": True, b"dtype": "|O"}), "refused"),
    ],
)
def test_a_malformed_frame_is_answered_with_text(port, frame, message):
    with raw(port) as client:
        client.recv()
        client.send(frame)
        answer = client.recv()
        assert isinstance(answer, str) and message in answer
    assert health(port) == b"OK\n"


def test_a_frame_over_the_limit_ends_its_connection_alone(port):
    with PolicyClient("127.0.0.1", port) as other, PolicyClient("127.0.0.1", port) as client:
        with pytest.raises(ServingError, match="lost the connection"):
            client.act({"image": np.zeros(wire.MAX_MESSAGE_BYTES + 1, np.uint8)})
        assert other.act({})[1] == 0


def test_a_port_in_use_is_named_with_what_to_do(port):
    with pytest.raises(ServingError, match=f"port {port} .* in use.*port 0"):
        serve(FakePolicy, "127.0.0.1", port)


def test_an_address_that_is_not_ours_is_named():
    with pytest.raises(ServingError, match=r"cannot listen on 192\.0\.2\.1"):
        serve(FakePolicy, "192.0.2.1", 0)


def test_sigterm_closes_the_server_and_its_clients_cleanly(tmp_path):
    process, opened = start(tmp_path)
    client = PolicyClient("127.0.0.1", opened)
    client.act({})
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(10) == 0
    with pytest.raises(ServingError, match="lost the connection"):
        client.act({})
    client.close()
    process.communicate()


def test_waiting_for_a_server_that_never_comes_ends_with_an_error():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        free = listener.getsockname()[1]
        with pytest.raises(ServingError, match=r"no policy server at .* after 0\.3 s"):
            wait_until_healthy("127.0.0.1", free, 0.3)
        with pytest.raises(ServingError, match="ended before it was ready"):
            wait_until_healthy("127.0.0.1", free, 60, alive=lambda: False)


def test_an_answer_that_does_not_come_in_time_is_an_error(port):
    late = pytest.raises(ServerLostError, match=r"did not answer within 0\.3 s")
    with PolicyClient("127.0.0.1", port, answer_seconds=0.3) as client, late:
        client.act({"order": "sleep"})
