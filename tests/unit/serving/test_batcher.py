"""Requests that arrive together share a prediction; nobody waits for nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.core.errors import ServingError
from hearth.core.sections import ServingSettings
from hearth.serving.batcher import RequestBatcher, padded_rows
from hearth.serving.metrics import Metrics


@dataclass(frozen=True)
class Asked:
    """Stands for a request; `sampling` is its kind."""

    number: int
    sampling: str = "same"


class Recorder:
    """Predicts the request's number, slowly; keeps what it was asked together."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.batches: list[tuple[list[Asked], int]] = []
        self.seconds = seconds

    def predict_batch(self, requests: Sequence[Asked], padded_size: int) -> list[int]:
        time.sleep(self.seconds)
        self.batches.append((list(requests), padded_size))
        if any(request.number < 0 for request in requests):
            raise ServingError("out of memory")
        return [request.number for request in requests]


async def ask(predictors, requests, clients=10**6, **settings):
    """Ask all at once; answers or errors, in order."""
    with ThreadPoolExecutor(1) as inference:
        batcher = RequestBatcher(
            ServingSettings(**settings), inference, Metrics(lambda: clients), lambda: clients
        )
        running = asyncio.create_task(batcher.run())
        questions = [
            batcher.predict(predictor, request)
            for predictor, request in zip(predictors, requests, strict=True)
        ]
        found = await asyncio.gather(*questions, return_exceptions=True)
        running.cancel()
        return found


def test_requests_at_once_share_predictions_of_few_sizes():
    recorder = Recorder()
    found = asyncio.run(ask([recorder] * 21, [Asked(n) for n in range(21)]))
    assert found == list(range(21))
    assert [(len(batch), rows) for batch, rows in recorder.batches] == [(16, 16), (4, 4), (1, 1)]


def test_kinds_and_bundles_are_not_mixed():
    one, two = Recorder(), Recorder()
    requests = [Asked(n, sampling="even" if n % 2 == 0 else "odd") for n in range(8)]
    found = asyncio.run(ask([one] * 4 + [two] * 4, requests))
    assert found == list(range(8))
    for batch, _ in one.batches + two.batches:
        assert len({request.sampling for request in batch}) == 1
    assert sum(len(batch) for batch, _ in one.batches) == 4


def test_an_error_reaches_those_who_shared_the_prediction_and_no_other():
    recorder = Recorder()
    requests = [Asked(-1), Asked(2, sampling="other")]
    found = asyncio.run(ask([recorder] * 2, requests))
    assert isinstance(found[0], ServingError) and found[1] == 2


def test_a_client_alone_does_not_wait_for_company():
    started = time.monotonic()
    asyncio.run(ask([Recorder()], [Asked(1)], clients=1, batch_window_milliseconds=5000.0))
    assert time.monotonic() - started < 2.0


def test_what_arrives_during_a_prediction_goes_next_together():
    recorder = Recorder(seconds=0.1)

    async def staggered():
        with ThreadPoolExecutor(1) as inference:
            batcher = RequestBatcher(ServingSettings(), inference, Metrics(lambda: 9), lambda: 9)
            running = asyncio.create_task(batcher.run())

            async def later(number: int):
                await asyncio.sleep(0.02 + 0.01 * number if number else 0.0)
                return await batcher.predict(recorder, Asked(number))

            found = await asyncio.gather(*map(later, range(5)))
            running.cancel()
            return found

    assert asyncio.run(staggered()) == list(range(5))
    assert [len(batch) for batch, _ in recorder.batches] == [1, 4]


@given(
    waiting=st.integers(1, 100),
    sizes=st.sets(st.integers(1, 64), min_size=1, max_size=5).map(sorted),
)
def test_at_most_half_of_the_rows_are_padding_where_a_smaller_size_exists(waiting, sizes):
    rows = padded_rows(waiting, sizes)
    assert rows in sizes
    taken = min(waiting, rows)
    assert taken == rows or 2 * taken >= rows or rows == sizes[0]


@pytest.mark.parametrize("waiting, rows", [(1, 1), (2, 4), (3, 4), (5, 4), (8, 16), (99, 16)])
def test_the_default_sizes(waiting, rows):
    assert padded_rows(waiting, ServingSettings().batch_sizes) == rows
