"""The policy server: the official websocket protocol, health and metrics on the same port."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from typing import Any

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from websockets.asyncio.server import Server, ServerConnection
from websockets.asyncio.server import serve as websocket_serve
from websockets.frames import DATA_OPCODES, Frame
from websockets.http11 import Request, Response
from websockets.protocol import Event

from hearth.core.errors import ServingError
from hearth.core.files import write_json
from hearth.core.sections import ServingSettings
from hearth.serving import wire
from hearth.serving.access import Access, Keys
from hearth.serving.batcher import RequestBatcher
from hearth.serving.connection import Conversation, Service
from hearth.serving.episodes import Episodes, PolicyLike
from hearth.serving.log import ErrorLog
from hearth.serving.metrics import Metrics
from hearth.serving.predictions import PredictionFiles

_LAST_ANSWERS_SECONDS = 60.0  # a server that stops waits so long for requests under way
_CLOSE_SECONDS = 5.0
_FRAMES_AHEAD = 2  # per connection; a client asks again only after an answer
_PREPARING_THREADS = 8
_MOST_FRAGMENTS = 1024  # of one message; evaluators send it whole


def serve(
    make_policy: Callable[[], PolicyLike],
    host: str,
    port: int | Sequence[int],
    *,
    metadata: dict[str, Any] | None = None,
    ready_file: Path | str | None = None,
    settings: ServingSettings | None = None,
    keys: Keys | None = None,
    one_evaluator_per_port: bool = False,
    predictions: Path | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; prints ``listening on host:port`` when ready.

    Args:
        make_policy: called once per episode's state; see `hearth.serving.episodes`.
        host: the address to bind.
        port: one or several; 0 takes a free one.
        metadata: the map that every client receives first.
        ready_file: where to write ``{host, port, ports}`` as JSON once the ports are open.
        settings: batches and limits.
        keys: the API keys of which clients need one; None: no key.
        one_evaluator_per_port: a port's connections are one evaluator's, one after another.
        predictions: the folder of `hearth.serving.predictions`, with an evaluator per port.

    Raises:
        ServingError: a port is in use or the address cannot be bound, or it is not known whose
            predictions are to be written.
    """
    if predictions is not None and not one_evaluator_per_port:
        raise ServingError("files of predictions need a port per evaluator")
    asyncio.run(
        _serve_until_stopped(
            host, ready_file,
            open_server(
                make_policy, host, [port] if isinstance(port, int) else port, metadata=metadata,
                settings=settings, access=Access(keys, one_evaluator_per_port),
                predictions=predictions,
            ),
        )
    )  # fmt: skip


async def _serve_until_stopped(
    host: str,
    ready_file: Path | str | None,
    server: contextlib.AbstractAsyncContextManager[list[int]],
) -> None:
    stop = asyncio.Event()
    with _signals(stop):
        async with server as ports:
            if ready_file is not None:
                write_json(ready_file, {"host": host, "port": ports[0], "ports": ports})
            print(f"listening on {host}:{', '.join(map(str, ports))}", flush=True)
            await stop.wait()


@contextlib.asynccontextmanager
async def open_server(
    make_policy: Callable[[], PolicyLike],
    host: str,
    ports: Sequence[int],
    *,
    metadata: dict[str, Any] | None = None,
    settings: ServingSettings | None = None,
    access: Access | None = None,
    predictions: Path | None = None,
) -> AsyncIterator[list[int]]:
    """Serve within the context, whose value is the open ports; see `serve`.

    At its end no connection is accepted any more, episodes have `settings.drain_seconds` to end,
    and requests under way are answered.
    """
    settings = settings or ServingSettings()
    threads = min(_PREPARING_THREADS, os.cpu_count() or 1) + 1
    with (
        ThreadPoolExecutor(1, thread_name_prefix="policy") as inference,
        ThreadPoolExecutor(threads, thread_name_prefix="preparation") as preparation,
    ):
        conversations: set[Conversation] = set()
        metrics, log = Metrics(lambda: len(conversations)), ErrorLog()
        service = Service(
            access=access or Access(None, one_evaluator_per_port=False),
            episodes=Episodes(make_policy, settings.reconnect_seconds),
            batcher=RequestBatcher(settings, inference, metrics, lambda: len(conversations)),
            metrics=metrics, log=log, metadata=wire.pack(dict(metadata or {})),
            preparation=preparation, open=conversations,
            predictions=None if predictions is None else PredictionFiles(predictions, log),
        )  # fmt: skip
        predicting = asyncio.create_task(service.batcher.run())
        servers: list[Server] = []
        try:
            for port in ports:
                servers.append(await _listen(service, settings, host, port))
            yield [next(iter(server.sockets)).getsockname()[1] for server in servers]
        finally:
            await _drain(service, servers, settings.drain_seconds)
            predicting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await predicting


async def _drain(service: Service, servers: list[Server], seconds: float) -> None:
    """Accept nobody, let episodes end for so long, then close after the answers under way."""
    service.draining = True
    for server in servers:
        server.close(close_connections=False)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while service.open:
                await asyncio.sleep(0.05)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LAST_ANSWERS_SECONDS):
            await asyncio.gather(*(conversation.end() for conversation in list(service.open)))
            await asyncio.gather(*(server.wait_closed() for server in servers))
    for conversation in list(service.open):
        conversation.connection.transport.abort()


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


class _Connection(ServerConnection):
    """Ends a client whose message comes in endless fragments: empty ones cost memory as well."""

    _fragments = 0

    def process_event(self, event: Event) -> None:
        if isinstance(event, Frame) and event.opcode in DATA_OPCODES:
            self._fragments = 0 if event.fin else self._fragments + 1
            if self._fragments > _MOST_FRAGMENTS:
                self.transport.abort()
                return
        super().process_event(event)


async def _listen(service: Service, settings: ServingSettings, host: str, port: int) -> Server:
    # The library would log a trace of every handshake that fails; those are faults of clients.
    quiet = logging.getLogger("hearth.serving.handshakes")
    quiet.setLevel(logging.CRITICAL)
    try:
        return await websocket_serve(
            lambda connection: Conversation(service, connection).run(), host, port,
            process_request=lambda connection, request: _respond(
                service, settings.connections, connection, request
            ),
            # Evaluators send no Origin; a web page in a browser does and has no business here.
            origins=[None], create_connection=_Connection,
            compression=None, max_size=settings.message_bytes, max_queue=_FRAMES_AHEAD,
            # No time limit for a pong: a simulator that loads a scene does not answer for minutes.
            ping_interval=60, ping_timeout=None, close_timeout=_CLOSE_SECONDS, logger=quiet,
        )  # fmt: skip
    except OSError as error:
        raise _unusable(error, host, port) from error


def check_free(host: str, ports: Sequence[int]) -> None:
    """Find out before a policy loads for minutes that a port cannot be had.

    Raises:
        ServingError: a port is in use, or there is no such host.
    """
    for port in ports:
        try:
            found = socket.getaddrinfo(
                host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
            for family, _, _, _, address in found:
                _bind(family, address)
        except OSError as error:
            raise _unusable(error, host, port) from error


def _bind(family: int, address: Any) -> None:
    """Bind as the server will, and let go; raises OSError where the port is in use.

    Other errors are left to the server: a name may have an address whose family the system lacks.
    """
    try:
        socket.create_server(address, family=family).close()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise


def _unusable(error: OSError, host: str, port: int) -> ServingError:
    if error.errno == errno.EADDRINUSE:
        return ServingError(
            f"port {port} on {host} is in use; stop what listens there, choose another port, or "
            "use port 0 for any free one"
        )
    return ServingError(f"cannot listen on {host}:{port}: {error.strerror or error}")


def _respond(
    service: Service, limit: int, connection: ServerConnection, request: Request
) -> Response | None:
    """The answer to a request that opens no conversation; None where one may begin."""
    path = request.path.partition("?")[0]
    if path == "/healthz":
        return connection.respond(HTTPStatus.OK, "OK\n")
    if path == "/metrics":
        response = connection.respond(HTTPStatus.OK, service.metrics.text().decode())
        del response.headers["Content-Type"]
        response.headers["Content-Type"] = CONTENT_TYPE_PLAIN_0_0_4
        return response
    if not service.access.allows(request):
        service.metrics.errors.labels("unauthorized").inc()
        return connection.respond(
            HTTPStatus.UNAUTHORIZED, "send the header 'Authorization: Api-Key KEY'\n"
        )
    if len(service.open) >= limit:
        service.metrics.errors.labels("busy").inc()
        return connection.respond(
            HTTPStatus.SERVICE_UNAVAILABLE, f"{limit} connections are open; no more are accepted\n"
        )
    return None
