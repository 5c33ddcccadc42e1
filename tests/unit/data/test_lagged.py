"""Moments of all chunks from lagged products, against the chunks written out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth.data.statistics.lagged import LaggedMoments
from hearth.data.statistics.moments import Moments


def chunks_of(actions: np.ndarray, state: np.ndarray, horizon: int, mask: np.ndarray) -> np.ndarray:
    starts = range(len(actions) - horizon + 1)
    return np.array([(actions[t : t + horizon] - mask * state[t]).ravel() for t in starts])


def walk(random: np.random.Generator, length: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    actions = np.cumsum(random.normal(scale=0.1, size=(length, width)), axis=0)
    return actions, actions + random.normal(scale=0.05, size=actions.shape)


@given(
    seed=st.integers(0, 1000),
    horizon=st.integers(1, 7),
    extra=st.lists(st.integers(0, 40), min_size=1, max_size=5),
    mask=st.lists(st.booleans(), min_size=1, max_size=4),
)
@settings(max_examples=60, deadline=None)
def test_equals_the_chunks_written_out(
    seed: int, horizon: int, extra: list[int], mask: list[bool]
) -> None:
    random, delta = np.random.default_rng(seed), np.array(mask)
    lagged, chunks = LaggedMoments(horizon, delta), []
    for more in extra:
        actions, state = walk(random, horizon + more, len(mask))
        lagged.add(actions, state)
        chunks.append(chunks_of(actions, state, horizon, delta))
    check(lagged.moments(), np.concatenate(chunks))


def check(found: Moments, chunks: np.ndarray) -> None:
    assert found.count == len(chunks)
    np.testing.assert_allclose(found.mean, chunks.mean(axis=0), atol=1e-12)
    centred = chunks - chunks.mean(axis=0)
    np.testing.assert_allclose(
        found.products / len(chunks), centred.T @ centred / len(chunks), atol=1e-12
    )


@pytest.mark.parametrize("lengths", [[30_000], [30] * 200, [5_000, 31, 12_345]])
def test_blocks_and_flushes_do_not_show(lengths: list[int]) -> None:
    """Longer than a block, more episodes than a batch of edges, and flushes in between."""
    random, mask = np.random.default_rng(0), np.array([True, False])
    lagged, chunks = LaggedMoments(30, mask), []
    for length in lengths:
        actions, state = walk(random, length, 2)
        shift = np.where(mask, state.mean(axis=0), 0.0)
        lagged.add(actions - shift, state - shift)
        chunks.append(chunks_of(actions, state, 30, mask))
    found, expected = lagged.moments(), np.concatenate(chunks)
    np.testing.assert_allclose(found.mean, expected.mean(axis=0), atol=1e-10)
    centred = expected - expected.mean(axis=0)
    scale = np.sqrt(np.outer(found.variance, found.variance)) * len(expected)
    error = np.abs(found.products - centred.T @ centred) / scale
    assert error.max() < 1e-8


@given(
    seed=st.integers(0, 1000),
    sizes=st.lists(st.integers(1, 20), min_size=1, max_size=6),
    data=st.data(),
)
@settings(max_examples=60, deadline=None)
def test_moments_merge_in_any_order(seed: int, sizes: list[int], data: st.DataObject) -> None:
    random = np.random.default_rng(seed)
    parts = [random.normal(loc=random.normal(scale=50, size=3), size=(n, 3)) for n in sizes]
    order = data.draw(st.permutations(range(len(parts))))
    merged = Moments.empty(3)
    for number in order:
        merged = merged.merged(Moments.of_rows(parts[number]))
    whole = np.concatenate(parts)
    assert merged.count == len(whole)
    np.testing.assert_allclose(merged.mean, whole.mean(axis=0), atol=1e-11)
    np.testing.assert_allclose(np.sqrt(merged.variance), whole.std(axis=0), atol=1e-10)


def test_nothing_added() -> None:
    assert LaggedMoments(4, np.array([True])).moments().count == 0
