"""The order of samples: permutations, epochs, shares of the tasks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth.data.loader.order import SampleOrder
from hearth.data.loader.permutation import permute

seeds = st.integers(0, 2**31 - 1)
keys = st.integers(0, 2**64 - 1)


def permuted(indices: np.ndarray, size: int, key: int) -> np.ndarray:
    return permute(indices, np.full(len(indices), size), np.full(len(indices), key, np.uint64))


@given(size=st.integers(1, 3000), key=keys)
@settings(deadline=None)
def test_permutation_is_a_bijection(size: int, key: int) -> None:
    found = permuted(np.arange(size), size, key)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(np.sort(found), np.arange(size))


@given(size=st.integers(1, 2**62), start=st.integers(0, 2**62), key=keys, other=keys)
@settings(deadline=None)
def test_large_permutations_by_their_parts(size: int, start: int, key: int, other: int) -> None:
    indices = np.unique((start % size + np.arange(50)) % size)
    one, two = permuted(indices, size, key), permuted(indices, size, other)
    assert len(np.unique(one)) == len(indices) and one.min() >= 0 and one.max() < size
    if size > 10**6:
        assert (one == two).all() == (key == other)
    # Each entry has a size and a key of its own, whatever stands beside it.
    both = permute(
        np.repeat(indices, 2), np.full(2 * len(indices), size),
        np.tile(np.array([key, other], np.uint64), len(indices)),
    )  # fmt: skip
    np.testing.assert_array_equal(both[::2], one)
    np.testing.assert_array_equal(both[1::2], two)


@pytest.mark.parametrize("size", [2, 10, 1000])
def test_permutation_is_spread_evenly(size: int) -> None:
    """Where index 0 and index 1 go over 20,000 keys: bins differ as by chance alone."""
    count, bins = 20_000, min(size, 10)
    many = np.arange(count, dtype=np.uint64)
    for index in (0, 1):
        places = permute(np.full(count, index), np.full(count, size), many)
        counts = np.bincount(places * bins // size, minlength=bins)
        expected = count / bins
        assert ((counts - expected) ** 2 / expected).sum() < 33  # 1 in 10,000 fair ones exceed it


def test_neighbours_are_scattered() -> None:
    found = permuted(np.arange(10_000), 10_000, 7)
    assert abs(np.corrcoef(np.arange(10_000), found)[0, 1]) < 0.05
    assert abs(np.corrcoef(found[:-1], found[1:])[0, 1]) < 0.05


@given(
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=4),
    seed=seeds,
    start=st.integers(0, 300),
    count=st.integers(1, 100),
)
@settings(max_examples=50, deadline=None)
def test_any_part_of_the_order_is_the_order(
    sizes: list[int], seed: int, start: int, count: int
) -> None:
    whole = SampleOrder(sizes, seed).samples(np.arange(start + count))
    part = SampleOrder(sizes, seed).samples(np.arange(start, start + count))
    np.testing.assert_array_equal(part, whole[start:])
    backwards = SampleOrder(sizes, seed).samples(np.arange(start + count)[::-1])
    np.testing.assert_array_equal(backwards[::-1], whole)


@given(sizes=st.lists(st.integers(1, 60), min_size=1, max_size=4), seed=seeds)
@settings(max_examples=50, deadline=None)
def test_epochs_are_complete_and_differ(sizes: list[int], seed: int) -> None:
    total = sum(sizes)
    epochs = SampleOrder(sizes, seed).samples(np.arange(3 * total)).reshape(3, total)
    assert (np.sort(epochs, axis=1) == np.arange(total)).all()
    if total > 20:
        assert len({tuple(epoch) for epoch in epochs.tolist()}) == 3


def test_far_positions_of_a_large_set_cost_nothing() -> None:
    order = SampleOrder([130_000_000], seed=0)
    far = order.samples(np.arange(10**12, 10**12 + 100))
    assert len(set(far.tolist())) == 100 and far.min() >= 0 and far.max() < 130_000_000


@pytest.mark.parametrize("temperature", [0.0, 0.5])
def test_shares_of_the_tasks(temperature: float) -> None:
    sizes = np.array([100, 900, 2500])
    order = SampleOrder(sizes.tolist(), seed=1, temperature=temperature)
    drawn = order.samples(np.arange(2**16))
    borders = np.cumsum(sizes)
    counts = np.bincount(np.searchsorted(borders, drawn, side="right"), minlength=3)
    wanted = sizes.astype(float) ** temperature
    np.testing.assert_allclose(counts / 2**16, wanted / wanted.sum(), atol=1e-4)
    # Every thousand positions have nearly the same shares: they are mixed, not in blocks.
    tasks = np.searchsorted(borders, drawn, side="right")[:65_000].reshape(65, 1000)
    shares = np.stack([(tasks == task).mean(axis=1) for task in range(3)], axis=1)
    assert np.abs(shares - wanted / wanted.sum()).max() < 0.07


def test_each_task_runs_through_epochs_of_its_own() -> None:
    sizes = [7, 50]
    order = SampleOrder(sizes, seed=1, temperature=0.0)
    drawn = order.samples(np.arange(2**16, 2 * 2**16))  # the second block: turns go on
    first = drawn[drawn < 7]
    assert len(first) == 2**15
    counts = np.bincount(first, minlength=7)
    assert counts.max() - counts.min() <= 2


def test_tempered_order_is_a_function_of_the_position() -> None:
    order = SampleOrder([10, 90], seed=3, temperature=0.5)
    positions = np.arange(2**16 - 50, 2**16 + 50)
    one = order.samples(positions)
    again = SampleOrder([10, 90], seed=3, temperature=0.5)
    np.testing.assert_array_equal(again.samples(positions[::-1])[::-1], one)
    other = SampleOrder([10, 90], seed=4, temperature=0.5)
    assert (other.samples(positions) != one).any()


def test_many_small_tasks_all_appear() -> None:
    order = SampleOrder([10**9] + [1] * 300, seed=0, temperature=0.9)
    assert order.quotas.min() >= 1 and order.quotas.sum() == 2**16
