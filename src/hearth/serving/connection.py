"""One connection: frames in, answers out, errors as text frames."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode

from hearth.core.errors import HearthError, ServingError
from hearth.policy.record import PredictionRecord
from hearth.serving import wire
from hearth.serving.access import Access
from hearth.serving.batcher import RequestBatcher
from hearth.serving.client import ServerLostError
from hearth.serving.episodes import Episode, Episodes
from hearth.serving.log import ErrorLog
from hearth.serving.metrics import Metrics
from hearth.serving.predictions import PredictionFiles

_INLINE_BYTES = 2**16  # larger frames are decoded beside the event loop
_LONGEST_TEXT = 2000  # characters of an error


@dataclass
class Service:
    """What all connections share.

    Attributes:
        metadata: the packed map that every client receives first.
        preparation: threads that decode frames and read observations.
        open: the connections.
        draining: the server is stopping; no episode starts.
        predictions: files of what is predicted; None where nobody wants them.
    """

    access: Access
    episodes: Episodes
    batcher: RequestBatcher
    metrics: Metrics
    log: ErrorLog
    metadata: bytes
    preparation: Executor
    open: set[Conversation] = field(default_factory=set)
    draining: bool = False
    predictions: PredictionFiles | None = None

    async def in_thread(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run beside the event loop, which stays free for health checks and other clients."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.preparation, function, *arguments)


class Conversation:
    """What one client says over one connection."""

    def __init__(self, service: Service, connection: ServerConnection) -> None:
        self.service, self.connection = service, connection
        self.port: int = connection.local_address[1]
        self.episode: Episode | None = None
        self._may_repeat = False  # the next observation may have been answered already
        self._previous_seconds: float | None = None

    async def run(self) -> None:
        """Serve until the client leaves or an error ends the connection."""
        self.service.open.add(self)
        try:
            with contextlib.suppress(ConnectionClosed):
                await self._serve()
        finally:
            self.service.open.discard(self)
            if self.episode is not None:
                self.service.episodes.leave(self.episode, self.connection)

    async def end(self) -> None:
        """Close because the server stops, once the request under way is answered."""
        lock = contextlib.nullcontext() if self.episode is None else self.episode.lock
        async with lock:
            await self.connection.close(CloseCode.GOING_AWAY, "the server is stopping")

    async def _serve(self) -> None:
        try:
            await self.connection.send(self.service.metadata)
            async for frame in self.connection:
                await self._handle(frame)
        except ConnectionClosed:
            raise
        except HearthError as error:
            if isinstance(error, ServerLostError):
                self.service.metrics.lost.labels(str(self.port)).inc()
            await self._refuse(str(error), "client", CloseCode.UNSUPPORTED_DATA)
        except Exception as error:  # a fault in the policy ends this episode, not the server
            text = f"{type(error).__name__}: {error}"
            await self._refuse(text, "policy", CloseCode.INTERNAL_ERROR)

    async def _refuse(self, text: str, cause: str, code: CloseCode) -> None:
        """Send the error as a text frame and close: the client cannot go on from here."""
        text = text[:_LONGEST_TEXT]
        self.service.metrics.errors.labels(cause).inc()
        self.service.log.write(f"error for {self.connection.remote_address}: {text}")
        await self.connection.send(text)
        await self.connection.close(code, "see the text frame")

    async def _handle(self, frame: bytes | str) -> None:
        started = time.perf_counter()
        if len(frame) > _INLINE_BYTES:
            request = await self.service.in_thread(read_request, frame)
        else:
            request = read_request(frame)
        begins = _is_true(request.get("reset"))
        if begins and self.service.draining:
            raise ServingError("the server is stopping and starts no episode")
        if self.episode is None:
            await self._claim(begins)
        episode = self.episode
        assert episode is not None, "claimed above"
        async with episode.lock:
            if episode.connection is not self.connection:
                raise ServingError(f"another connection of {episode.identity} took over")
            if begins:
                episode.begin(announced=True)
                self.service.metrics.served("reset", self.port)
                if self.service.predictions is not None:
                    self.service.predictions.begin(self.port)
            else:
                assert isinstance(frame, bytes)
                with self.service.metrics.waiting.labels(str(self.port)).track_inprogress():
                    await self._observe(episode, frame, request, started)
        self._may_repeat = False

    async def _claim(self, begins: bool) -> None:
        request = self.connection.request
        assert request is not None, "the handshake is over"
        identity = self.service.access.identity(request, self.port)
        self.episode, continues = await self.service.episodes.claim(
            identity, self.connection, begins
        )
        self._may_repeat = continues
        if continues:
            self.service.metrics.reconnects.inc()

    async def _observe(
        self, episode: Episode, frame: bytes, request: dict[str, Any], started: float
    ) -> None:
        if self._may_repeat and episode.last is not None and episode.last[0] == frame:
            # The connection broke before the answer arrived: the step is not taken twice.
            answer = episode.last[1]
        else:
            try:
                answer = await self._answer(episode, request)
            except BaseException:
                episode.broken = True
                raise
            if episode.identity is not None:
                episode.last = frame, answer
        await self.connection.send(answer)
        self._previous_seconds = time.perf_counter() - started
        self.service.metrics.seconds.observe(self._previous_seconds)
        self.service.metrics.served("observation", self.port)

    async def _answer(self, episode: Episode, request: dict[str, Any]) -> bytes:
        started = time.perf_counter()
        count = chunk_size(request.pop(wire.CHUNK_KEY, 0))
        recorded = request.pop(wire.RECORD_KEY, None) is not None
        policy: Any = episode.policy
        before = getattr(policy, "record", None)
        due = await self.service.in_thread(episode.prepare, request)
        if not isinstance(due, np.ndarray):  # a policy that asks has both halves
            prediction = await self.service.batcher.predict(policy.predictor, due)
            due = await self.service.in_thread(policy.finish, prediction)
        record = getattr(policy, "record", None)
        record = None if record is before else record
        action = checked(due)
        chunk = None
        if count > 1:
            chunk = await self.service.in_thread(episode.look_ahead, request, action, count)
        await self._note(record, 1 if chunk is None else len(chunk))
        timing = {"infer_ms": 1e3 * (time.perf_counter() - started)}
        if self._previous_seconds is not None:
            timing["prev_total_ms"] = 1e3 * self._previous_seconds
        # "actions" is the name that openpi clients read: a chunk, of one where none was asked for.
        answer = {"action": action, "actions": action[None] if chunk is None else chunk}
        if chunk is not None:
            answer["action_chunk"] = checked(chunk, 2)
        if recorded and isinstance(record, PredictionRecord):
            answer[wire.RECORD] = record.as_map()
        return wire.pack({**answer, "server_timing": timing})

    async def _note(self, record: Any, given: int) -> None:
        """Write what was predicted, if anything, where files of it are wanted."""
        predictions = self.service.predictions
        if predictions is None:
            return
        if isinstance(record, PredictionRecord):
            await self.service.in_thread(predictions.predicted, self.port, record)
        predictions.given(self.port, given)


def read_request(frame: bytes | str) -> dict[str, Any]:
    """The map of one frame.

    Raises:
        ServingError: a text frame, or not a map.
    """
    if isinstance(frame, str):
        raise ServingError("a text frame was sent; send observations as binary msgpack frames")
    request = wire.unpack(frame)
    if not isinstance(request, dict):
        raise ServingError(f"send a map of observations, not {type(request).__name__}")
    return request


def chunk_size(value: Any) -> int:
    """How many actions a client wants at once; up to 1: one.

    Raises:
        ServingError: not a whole number.
    """
    numbers = np.asarray(value)
    if numbers.size != 1 or numbers.dtype.kind not in "iu":
        raise ServingError(f"'{wire.CHUNK_KEY}' must be a whole number, not {value!r}")
    return int(numbers.reshape(-1)[0])


def checked(action: Any, dimensions: int = 1) -> np.ndarray:
    """The action as float32[D], or a chunk of them with two dimensions.

    Raises:
        ServingError: the policy gave something else, or numbers that are not finite.
    """
    found = np.asarray(action, dtype=np.float32)
    if found.ndim != dimensions or not np.isfinite(found).all():
        raise ServingError(f"the policy gave no finite action: shape {found.shape}, {found}")
    return found


def _is_true(value: Any) -> bool:
    """Whether a request's `reset` says so; clients may send a NumPy scalar or array of one."""
    if isinstance(value, np.ndarray) and value.size != 1:
        raise ServingError(f"'reset' is an array of shape {value.shape}; send true or false")
    return bool(value)
