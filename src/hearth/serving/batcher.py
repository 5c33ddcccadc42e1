"""Requests of many episodes, gathered into few batched predictions on one thread."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hearth.core.sections import ServingSettings
from hearth.serving.metrics import Metrics

if TYPE_CHECKING:  # a server of other policies starts without jax
    from hearth.policy.runner import Prediction, Predictor, Request


@dataclass(frozen=True, eq=False)
class _Waiting:
    """A request and where its prediction goes; `since` in seconds of the loop's clock."""

    predictor: Predictor
    request: Request
    answer: asyncio.Future[Prediction]
    since: float

    @property
    def kind(self) -> tuple:
        """Requests of one kind share a batch."""
        return id(self.predictor), self.request.sampling


def padded_rows(waiting: int, sizes: Sequence[int]) -> int:
    """Rows of the next prediction for so many requests, one of `sizes` (rising).

    The smallest size that holds them all, unless more than half of its rows would be padding and
    a smaller size exists: then the largest that they fill, and the rest goes next.
    """
    fitting = next((size for size in sizes if size >= waiting), sizes[-1])
    filled = [size for size in sizes if size <= waiting]
    return fitting if 2 * waiting >= fitting or not filled else filled[-1]


class RequestBatcher:
    """Waits a few milliseconds for company, then predicts for all requests of one kind at once."""

    def __init__(
        self,
        settings: ServingSettings,
        inference: Executor,
        metrics: Metrics,
        clients: Callable[[], int],
    ) -> None:
        """
        Args:
            settings: window and batch sizes.
            inference: the one thread that predicts.
            metrics: what is counted.
            clients: how many there are: once all of them wait, nobody else can come.
        """
        self._settings, self._inference = settings, inference
        self._metrics, self._clients = metrics, clients
        self._waiting: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()

    async def predict(self, predictor: Predictor, request: Request) -> Prediction:
        """The prediction for one request, which may share its batch with others.

        Raises:
            HearthError: the predictor's own errors.
        """
        loop = asyncio.get_running_loop()
        waiting = _Waiting(predictor, request, loop.create_future(), loop.time())
        self._waiting.append(waiting)
        self._arrived.set()
        return await waiting.answer

    async def run(self) -> None:
        """Predict until cancelled."""
        while True:
            self._arrived.clear()
            if not self._waiting:
                await self._arrived.wait()
            await self._gather()
            await self._predict(self._next_batch())

    async def _gather(self) -> None:
        """Return when the oldest request has waited long enough or nobody is left to wait for."""
        until = self._waiting[0].since + 1e-3 * self._settings.batch_window_milliseconds
        with suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                while len(self._waiting) < min(self._settings.batch_sizes[-1], self._clients()):
                    self._arrived.clear()
                    await self._arrived.wait()

    def _next_batch(self) -> tuple[list[_Waiting], int]:
        """The oldest request with others of its kind, and the rows to compute."""
        kind = self._waiting[0].kind
        alike = [waiting for waiting in self._waiting if waiting.kind == kind]
        rows = padded_rows(len(alike), self._settings.batch_sizes)
        batch = alike[:rows]
        taken = set(map(id, batch))
        self._waiting = deque(one for one in self._waiting if id(one) not in taken)
        return batch, rows

    async def _predict(self, chosen: tuple[list[_Waiting], int]) -> None:
        batch, rows = chosen
        started = time.perf_counter()
        try:
            found = await asyncio.get_running_loop().run_in_executor(
                self._inference, batch[0].predictor.predict_batch,
                [waiting.request for waiting in batch], rows,
            )  # fmt: skip
        except Exception as error:  # a fault of the predictor belongs to those who asked
            for waiting in batch:
                if not waiting.answer.done():
                    waiting.answer.set_exception(error)
            return
        self._metrics.predicted(len(batch), time.perf_counter() - started)
        for waiting, prediction in zip(batch, found, strict=True):
            if not waiting.answer.done():
                waiting.answer.set_result(prediction)
