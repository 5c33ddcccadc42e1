"""The policy server: the official websocket protocol and a health check on one port."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from websockets.asyncio.server import Server, ServerConnection
from websockets.asyncio.server import serve as websocket_serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from hearth.core.errors import HearthError, ServingError
from hearth.core.files import write_json
from hearth.serving import wire

_UNSUPPORTED_DATA, _INTERNAL_ERROR = 1003, 1011


class PolicyLike(Protocol):
    """What the server needs of a policy: one episode's state."""

    def reset(self) -> None:
        """Forget the episode."""
        ...

    def act(self, observation: dict[str, Any]) -> np.ndarray:
        """The action (D,) for one official observation map."""
        ...


@dataclass(frozen=True)
class _Service:
    """What all connections share. One thread runs the policy: requests queue up behind it,

    and the event loop stays free for health checks.
    """

    make_policy: Callable[[], PolicyLike]
    metadata: dict[str, Any]
    inference: ThreadPoolExecutor


def serve(
    make_policy: Callable[[], PolicyLike],
    host: str,
    port: int,
    *,
    metadata: dict[str, Any] | None = None,
    ready_file: Path | str | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; prints ``listening on host:port`` when ready.

    Args:
        make_policy: called once per connection; each connection is an episode of its own.
        host: the address to bind.
        port: the port; 0 takes a free one.
        metadata: the map that every client receives first.
        ready_file: where to write ``{host, port}`` as JSON once the port is open.

    Raises:
        ServingError: the port is in use or the address cannot be bound.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="policy") as inference:
        service = _Service(make_policy, dict(metadata or {}), inference)
        asyncio.run(_run(service, host, port, ready_file))


async def _run(service: _Service, host: str, port: int, ready_file: Path | str | None) -> None:
    stop = asyncio.Event()
    with _signals(stop):
        async with await _listen(service, host, port) as server:
            opened = next(iter(server.sockets)).getsockname()[1]
            if ready_file is not None:
                write_json(ready_file, {"host": host, "port": opened})
            print(f"listening on {host}:{opened}", flush=True)
            await stop.wait()


@contextlib.contextmanager
def _signals(stop: asyncio.Event) -> Iterator[None]:
    """SIGTERM and SIGINT close the server; outside the main thread there is nothing to hook."""
    loop = asyncio.get_running_loop()
    hooked = threading.current_thread() is threading.main_thread()
    signals = (signal.SIGTERM, signal.SIGINT) if hooked else ()
    for number in signals:
        loop.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


async def _listen(service: _Service, host: str, port: int) -> Server:
    try:
        return await websocket_serve(
            lambda connection: _connection(service, connection),
            host, port, process_request=_health, compression=None,
            max_size=wire.MAX_MESSAGE_BYTES, ping_interval=60, ping_timeout=None,
        )  # fmt: skip
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ServingError(
                f"port {port} on {host} is in use; stop what listens there, choose another "
                "port, or use port 0 for any free one"
            ) from error
        raise ServingError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error


def _health(connection: ServerConnection, request: Request) -> Response | None:
    if request.path == "/healthz":
        return connection.respond(HTTPStatus.OK, "OK\n")
    return None


async def _connection(service: _Service, connection: ServerConnection) -> None:
    with contextlib.suppress(ConnectionClosed):
        try:
            await _converse(service, connection)
        except ConnectionClosed:
            raise
        except HearthError as error:
            await _refuse(connection, str(error), _UNSUPPORTED_DATA)
        except Exception as error:  # a fault in the policy ends this episode, not the server
            await _refuse(connection, f"{type(error).__name__}: {error}", _INTERNAL_ERROR)


async def _refuse(connection: ServerConnection, text: str, code: int) -> None:
    """Send the error as a text frame and close: the episode's state can no longer be trusted."""
    print(f"error for {connection.remote_address}: {text}", flush=True)
    await connection.send(text)
    await connection.close(code, "see the text frame")


async def _converse(service: _Service, connection: ServerConnection) -> None:
    loop = asyncio.get_running_loop()
    policy = await loop.run_in_executor(service.inference, service.make_policy)
    await loop.run_in_executor(service.inference, policy.reset)
    await connection.send(wire.pack(service.metadata))
    previous: float | None = None
    async for frame in connection:
        started = time.perf_counter()
        request = _request(frame)
        if request.get("reset"):
            await loop.run_in_executor(service.inference, policy.reset)
            continue
        action, seconds = await loop.run_in_executor(service.inference, _act, policy, request)
        timing = {"infer_ms": 1e3 * seconds}
        if previous is not None:
            timing["prev_total_ms"] = 1e3 * previous
        # "actions" is the name openpi clients read; a chunk of one.
        answer = {"action": action, "actions": action[None], "server_timing": timing}
        await connection.send(wire.pack(answer))
        previous = time.perf_counter() - started


def _request(frame: bytes | str) -> dict[str, Any]:
    if isinstance(frame, str):
        raise ServingError("a text frame was sent; send observations as binary msgpack frames")
    request = wire.unpack(frame)
    if not isinstance(request, dict):
        raise ServingError(f"send a map of observations, not {type(request).__name__}")
    return request


def _act(policy: PolicyLike, observation: dict[str, Any]) -> tuple[np.ndarray, float]:
    """The action, float32[D], and the seconds it took."""
    started = time.perf_counter()
    action = np.asarray(policy.act(observation), dtype=np.float32)
    if action.ndim != 1 or not np.isfinite(action).all():
        raise ServingError(f"the policy gave no finite action: shape {action.shape}, {action}")
    return action, time.perf_counter() - started
