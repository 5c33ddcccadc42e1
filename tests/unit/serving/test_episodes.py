"""Which connection plays which episode: reconnects, takeovers, and what is ambiguous."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from benchmarks.serving_fuzz import HANDSHAKE, websocket_frame
from serving_fakes import FakePolicy, served
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from hearth.core.sections import ServingSettings
from hearth.serving import episodes, wire
from hearth.serving.access import Access, Keys

FIRST, SECOND, SHARED = "first-evaluator-key", "second-evaluator-key", "key-of-all-clients"
DEDICATED = Access(None, one_evaluator_per_port=True)


@pytest.fixture(scope="module")
def dedicated() -> Iterator[list[int]]:
    """A port for each test: what one leaves behind is nobody else's."""
    with served(FakePolicy, [0] * 8, access=DEDICATED) as ports:
        yield ports


@pytest.fixture
def port(dedicated: list[int]) -> int:
    return dedicated.pop()


def client(port: int, key: str | None = None) -> ClientConnection:
    headers = {"Authorization": f"Api-Key {key}"} if key else None
    connection = connect(
        f"ws://127.0.0.1:{port}", compression=None, proxy=None, additional_headers=headers
    )
    connection.recv()
    return connection


def reset(connection: ClientConnection) -> None:
    connection.send(wire.pack({"reset": True}))


def step(connection: ClientConnection, number: int = 0, **more: object) -> int:
    """The episode's step that the server believes in; `number` tells observations apart."""
    connection.send(wire.pack({"number": number, **more}))
    answer = connection.recv()
    assert isinstance(answer, bytes), answer
    return int(wire.unpack(answer)["action"][1])


def refusal(connection: ClientConnection, number: int = 0) -> str:
    """The text with which an observation is refused; the connection must be closed after it."""
    connection.send(wire.pack({"number": number}))
    text = connection.recv(timeout=10)
    assert isinstance(text, str)
    with pytest.raises(ConnectionClosed):
        connection.recv(timeout=10)
    return text


def cut(connection: ClientConnection) -> None:
    """The connection breaks without a goodbye."""
    connection.socket.shutdown(socket.SHUT_RDWR)
    connection.socket.close()
    time.sleep(0.1)


def test_a_reconnect_continues_its_evaluators_episode(port):
    first = client(port)
    reset(first)
    assert [step(first, n) for n in range(3)] == [0, 1, 2]
    cut(first)
    second = client(port)
    assert step(second, 3) == 3
    cut(second)
    third = client(port)
    reset(third)
    assert step(third) == 0


def test_an_observation_that_is_sent_again_after_a_reconnect_is_one_step(port):
    first = client(port)
    reset(first)
    assert [step(first, n) for n in range(3)] == [0, 1, 2]
    cut(first)
    second = client(port)
    assert [step(second, 2), step(second, 2), step(second, 3)] == [2, 3, 4]


def test_an_answer_under_way_while_the_connection_breaks_is_not_lost(port):
    first = client(port)
    reset(first)
    step(first, 0)
    first.send(wire.pack({"number": 1, "order": "sleep"}))
    time.sleep(0.2)
    cut(first)
    second = client(port)
    assert step(second, 1, order="sleep") == 1
    assert step(second, 2) == 2


def test_a_client_that_never_resets_starts_an_episode_with_each_connection(port):
    for _ in range(2):
        one = client(port)
        assert [step(one, n) for n in range(3)] == [0, 1, 2]
        cut(one)


def test_whoever_comes_after_a_goodbye_starts_anew(port):
    with client(port) as first:
        reset(first)
        assert [step(first, n) for n in range(2)] == [0, 1]
    with client(port) as second:
        assert step(second, 1) == 0


def test_a_second_evaluator_on_one_port_is_refused_and_the_first_goes_on(port):
    with client(port) as first, client(port) as second:
        reset(first)
        assert step(first, 0) == 0
        assert "connected from" in refusal(second)
        assert step(first, 1) == 1


def test_an_episode_that_an_error_ended_needs_a_reset(port):
    first = client(port)
    reset(first)
    first.send(wire.pack({"order": "raise"}))
    assert "division of a robot" in first.recv()
    assert "send a reset" in refusal(client(port))
    third = client(port)
    reset(third)
    assert step(third) == 0


def test_a_connection_that_went_silent_gives_way(port, monkeypatch):
    monkeypatch.setattr(episodes, "_PONG_SECONDS", 0.3)
    silent = socket.create_connection(("127.0.0.1", port))
    silent.sendall(HANDSHAKE)
    for number in range(2):
        request = {"reset": True} if number == 0 else {"number": 0}
        silent.sendall(websocket_frame(wire.pack(request)))
    time.sleep(0.3)
    with client(port) as again:
        assert step(again, 1) == 1
    silent.close()


def test_a_key_of_its_own_identifies_an_evaluator():
    keys = Keys.model_validate({"shared": SHARED, "evaluators": {"a": FIRST, "b": SECOND}})
    with served(FakePolicy, access=Access(keys, one_evaluator_per_port=False)) as (port,):
        one, two, other = (client(port, key) for key in (FIRST, SECOND, SHARED))
        for connection in (one, two, other):
            reset(connection)
        assert [step(one, 0), step(one, 1), step(two, 0), step(other, 0)] == [0, 1, 0, 0]
        cut(one)
        assert step(client(port, FIRST), 2) == 2
        assert [step(two, 1), step(other, 1)] == [1, 1]
        for key in (None, "wrong", FIRST[:-1], SHARED + "x"):
            with pytest.raises(InvalidStatus) as caught:
                client(port, key)
            assert caught.value.response.status_code == 401


def test_on_a_shared_port_a_lost_evaluator_makes_others_without_reset_ambiguous():
    settings = ServingSettings(reconnect_seconds=2.0)
    with served(FakePolicy, settings=settings) as (port,):
        first, bystander = client(port), client(port)
        reset(first)
        assert [step(first, 0), step(bystander, 0)] == [0, 0]
        assert step(client(port)) == 0  # nobody is lost: an openpi client
        cut(first)
        assert "not clear whose" in refusal(client(port))
        fresh = client(port)
        reset(fresh)
        assert [step(fresh), step(bystander, 1)] == [0, 1]
        time.sleep(2.0)
        assert step(client(port)) == 0


def test_on_a_shared_port_only_a_normal_closure_ends_an_episode():
    with served(FakePolicy) as (port,):
        for lost, code in enumerate((1000, 1001, 1011)):
            evaluator = client(port)
            reset(evaluator)
            step(evaluator)
            evaluator.close(code)
            time.sleep(0.1)
            if code == 1000:
                assert step(client(port)) == 0
            else:
                assert f"{lost} episode(s) on this port lost" in refusal(client(port))


def test_on_a_shared_port_a_silent_evaluator_counts_as_lost(monkeypatch):
    monkeypatch.setattr(episodes, "_PONG_SECONDS", 0.3)
    with served(FakePolicy) as (port,):
        silent = socket.create_connection(("127.0.0.1", port))
        silent.sendall(HANDSHAKE + websocket_frame(wire.pack({"reset": True})))
        silent.sendall(websocket_frame(wire.pack({})))
        time.sleep(0.2)
        assert "not clear whose" in refusal(client(port))
        silent.close()


def test_many_clients_never_share_an_episode():
    """Clients come, go and break at random; each sees its own steps count up."""
    wrong: list[str] = []

    def play(port: int, seed: int) -> None:
        random = np.random.default_rng(seed)
        for _ in range(5):
            connection = client(port)
            reset(connection)
            steps = random.integers(1, 20)
            found = [step(connection, n, task_id=seed) for n in range(steps)]
            if found != list(range(steps)):
                wrong.append(f"client {seed}: {found}")
            cut(connection) if random.random() < 0.5 else connection.close()

    with served(FakePolicy) as (port,):
        threads = [threading.Thread(target=play, args=(port, seed)) for seed in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong
