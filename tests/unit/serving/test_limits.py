"""Keys, limits, metrics, draining, and malformed traffic beside an ordinary client."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from benchmarks.serving_fuzz import (
    HANDSHAKE,
    MalformedFrames,
    send_malformed,
    websocket_frame,
)
from serving_fakes import FakePolicy, served
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from hearth.core.errors import ServingError, SettingsError
from hearth.core.sections import ServingSettings
from hearth.serving import wire
from hearth.serving.access import read_keys
from hearth.serving.bundle_server import serving_settings
from hearth.serving.client import PolicyClient
from hearth.serving.connection import chunk_size


def get(port: int, path: str) -> tuple[str, str]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return answer.read().decode(), answer.headers["Content-Type"]


def value(text: str, name: str) -> float:
    line = next(line for line in text.splitlines() if line.startswith(f"{name} "))
    return float(line.split()[-1])


def test_metrics_tell_what_was_served():
    with served(FakePolicy) as (port,), PolicyClient("127.0.0.1", port) as client:
        client.reset()
        for _ in range(3):
            client.act({})
        with pytest.raises(ServingError), PolicyClient("127.0.0.1", port) as other:
            other.act({"order": "raise"})
        text, kind = get(port, "/metrics")
        assert kind.startswith("text/plain; version=0.0.4")
        assert value(text, 'hearth_requests_total{kind="observation"}') == 3
        assert value(text, 'hearth_requests_total{kind="reset"}') == 1
        assert value(text, 'hearth_errors_total{cause="policy"}') == 1
        assert value(text, "hearth_request_seconds_count") == 3
        assert value(text, "hearth_connections") == 1


def test_connections_over_the_limit_are_refused_and_health_still_answers():
    with served(FakePolicy, settings=ServingSettings(connections=1)) as (port,):
        with PolicyClient("127.0.0.1", port) as client:
            with pytest.raises(InvalidStatus) as caught:
                connect(f"ws://127.0.0.1:{port}", proxy=None)
            assert caught.value.response.status_code == 503
            assert get(port, "/healthz")[0] == "OK\n"
            client.act({})
        time.sleep(0.2)
        PolicyClient("127.0.0.1", port).close()


def test_web_pages_are_refused():
    with served(FakePolicy) as (port,), pytest.raises(InvalidStatus) as caught:
        connect(f"ws://127.0.0.1:{port}", proxy=None, origin="http://example.org")  # type: ignore[arg-type]
    assert caught.value.response.status_code == 403


def test_a_message_over_the_configured_size_ends_its_connection_alone():
    with (
        served(FakePolicy, settings=ServingSettings(message_bytes=1000)) as (port,),
        PolicyClient("127.0.0.1", port) as other,
        PolicyClient("127.0.0.1", port) as client,
    ):
        with pytest.raises(ServingError, match="lost the connection"):
            client.act({"image": np.zeros(1001, np.uint8)})
        assert other.act({})[1] == 0


def test_a_server_that_stops_answers_what_is_under_way():
    found = []
    with served(FakePolicy) as (port,):
        client = PolicyClient("127.0.0.1", port)
        asking = threading.Thread(target=lambda: found.append(client.act({"order": "sleep"})))
        asking.start()
        time.sleep(0.3)
    asking.join()
    assert found[0][1] == 0
    client.close()


def test_a_server_that_drains_lets_episodes_end_and_starts_none():
    with served(FakePolicy, settings=ServingSettings(drain_seconds=20.0)) as (port,):
        client = PolicyClient("127.0.0.1", port)
        client.reset()
        client.act({})
        acting: list[float] = []

        def play_on() -> None:
            time.sleep(0.5)  # the server drains by now
            acting.extend(client.act({})[1] for _ in range(3))
            client.reset()
            with pytest.raises(ServingError, match="starts no episode"):
                client.act({})
            client.close()

        playing = threading.Thread(target=play_on)
        playing.start()
        started = time.monotonic()
    assert time.monotonic() - started < 10.0
    playing.join()
    assert acting == [1, 2, 3]


def test_malformed_traffic_disturbs_no_other_client():
    valid = wire.pack({"image": np.zeros((4, 4, 3), np.uint8), "task_id": np.array([3])})
    with served(FakePolicy) as (port,), PolicyClient("127.0.0.1", port) as other:
        other.reset()
        steps: list[float] = []
        done = threading.Event()

        def play() -> None:
            while not done.is_set():
                steps.append(other.act({})[1])

        playing = threading.Thread(target=play)
        playing.start()

        def flood(seed: int) -> Counter[tuple[str, str]]:
            return send_malformed(port, MalformedFrames(valid, ["image", "task_id"], seed), 150)

        with ThreadPoolExecutor(4) as pool:
            ends = sum(pool.map(flood, range(4)), Counter[tuple[str, str]]())
        done.set()
        playing.join()
        assert steps == list(range(len(steps))) and steps
        text, _ = get(port, "/metrics")
        errors = sum(
            value(text, f'hearth_errors_total{{cause="{cause}"}}') for cause in ("client", "policy")
        )
        # They were read and refused, and not only dropped with their connections.
        refused = sum(number for (_, end), number in ends.items() if end in ("refused", "taken"))
        assert refused > 400 and errors >= refused


def test_a_message_in_endless_fragments_ends_its_connection():
    with served(FakePolicy) as (port,), socket.create_connection(("127.0.0.1", port)) as raw:
        raw.sendall(HANDSHAKE + websocket_frame(b"", 0x02))
        raw.settimeout(10)
        with contextlib.suppress(ConnectionError):
            raw.sendall(websocket_frame(b"", 0x00) * 2000)
            while raw.recv(4096):
                pass
        with PolicyClient("127.0.0.1", port) as other:
            assert other.act({})[1] == 0


def test_a_client_cannot_fill_the_log(capsys):
    with served(FakePolicy) as (port,):
        for _ in range(130):
            with connect(f"ws://127.0.0.1:{port}", proxy=None) as client:
                client.recv()
                client.send(b"\xc1\n")
                client.recv()
    assert len(capsys.readouterr().out.splitlines()) == 100


@pytest.mark.parametrize("wrong", ["4", 2.0, [1, 2], None, True])
def test_a_chunk_size_is_a_whole_number(wrong):
    with pytest.raises(ServingError, match="must be a whole number"):
        chunk_size(wrong)


@pytest.mark.parametrize(
    "text, mode, message",
    [
        ("shared: a-key-that-is-long-enough", 0o644, "chmod 600"),
        ("shared: secret", 0o600, "at least 16"),
        ("{}", 0o600, "give a key as 'shared'"),
        ("evaluators: {a: the-same-key-twice-over, b: the-same-key-twice-over}", 0o600, "equal"),
        ("[the-secret-key-in-a-list", 0o600, "cannot be read"),
        ("other: the-secret-key-in-a-wrong-place", 0o600, "other: Extra inputs"),
        (None, 0o600, "No such file"),
    ],
)
def test_key_files_are_checked_and_never_shown(tmp_path, text, mode, message):
    path = tmp_path / "keys.yaml"
    if text is not None:
        path.write_text(text)
        path.chmod(mode)
    with pytest.raises(SettingsError, match=message) as caught:
        read_keys(path)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "values, message",
    [
        ({"batch_sizes": [4, 1]}, "must rise"),
        ({"batch_sizes": []}, "batch_sizes"),
        ({"window": 3}, "window"),
        ({"message_bytes": 2**40}, "message_bytes"),
    ],
)
def test_serving_settings_are_checked(values, message):
    with pytest.raises(SettingsError, match=message):
        serving_settings(values)
