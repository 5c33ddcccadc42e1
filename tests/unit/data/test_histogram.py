"""The mergeable histogram: order does not matter, quantiles stay within a bin."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth.data.statistics.histogram import BINS, DyadicHistogram

FLOATS = st.floats(-(2.0**20), 2.0**20, width=32) | st.sampled_from([0.0, 2.0**-60, -(2.0**-90)])
SOME = st.lists(FLOATS, max_size=12)


def of(*parts: list[float] | np.ndarray) -> DyadicHistogram:
    histogram = DyadicHistogram()
    for part in parts:
        histogram.add(np.asarray(part, dtype=np.float32))
    return histogram


def same(one: DyadicHistogram, two: DyadicHistogram) -> bool:
    state = (one.minimum, one.maximum, one.exponent, one.counts.tolist())
    return state == (two.minimum, two.maximum, two.exponent, two.counts.tolist())


@given(parts=st.lists(SOME, min_size=1, max_size=5), data=st.data())
@settings(max_examples=150, deadline=None)
def test_state_depends_on_the_values_alone(parts: list[list[float]], data: st.DataObject) -> None:
    whole = of([value for part in parts for value in part])
    histograms = [of(part) for part in data.draw(st.permutations(parts))]
    while len(histograms) > 1:
        # Merge a random neighbour pair: any tree of merges, not only left to right.
        at = data.draw(st.integers(0, len(histograms) - 2))
        histograms[at].merge(histograms.pop(at + 1))
    assert same(histograms[0], whole)
    assert same(of(*parts), whole)


@given(values=st.lists(FLOATS, min_size=1, max_size=60), q=st.sampled_from([0.0, 0.01, 0.5, 0.99]))
@settings(max_examples=150, deadline=None)
def test_quantiles_of_any_values_are_within_a_bin(values: list[float], q: float) -> None:
    array = np.asarray(values, dtype=np.float32).astype(np.float64)
    histogram = of(values)
    error = abs(histogram.quantile(q) - np.quantile(array, q))
    assert error <= histogram.width * (1 + 1e-9)
    narrow = np.abs(array).max() * 2.0**-22
    assert histogram.width <= max(2 * np.ptp(array) / (BINS - 1), narrow, 1e-29)
    assert histogram.count == len(values) and len(histogram.counts) <= BINS


@pytest.mark.parametrize("distribution", ["normal", "exponential", "standard_cauchy", "uniform"])
def test_quantiles_within_a_thousandth_of_the_range(distribution: str) -> None:
    random = np.random.default_rng(0)
    values = getattr(random, distribution)(size=100_000).astype(np.float32)
    histogram = of(*np.array_split(values, 7))
    for q in (0.01, 0.99):
        error = abs(histogram.quantile(q) - np.quantile(values.astype(np.float64), q))
        assert error <= 0.001 * np.ptp(values)


def test_weights_count_like_repetition() -> None:
    random = np.random.default_rng(1)
    values = random.normal(size=50).astype(np.float32)
    weights = random.integers(0, 5, size=50)
    weighted = DyadicHistogram()
    weighted.add(values, weights)
    used = np.flatnonzero(weights)
    repeated = of(np.repeat(values, weights))
    if {values.argmin(), values.argmax()} <= set(used.tolist()):
        assert same(weighted, repeated)
    assert weighted.count == weights.sum()


def test_stored_counts_come_back() -> None:
    histogram = of([0.25, -3.0, 7.5])
    padded = np.zeros(BINS, dtype=np.int64)
    padded[: len(histogram.counts)] = histogram.counts
    assert same(DyadicHistogram.of_counts(-3.0, 7.5, padded), histogram)
    assert same(DyadicHistogram.of_counts(math.inf, -math.inf, padded * 0), DyadicHistogram())


def test_coarse_keeps_every_count() -> None:
    values = np.random.default_rng(2).normal(size=5000)
    counts, edges = of(values).coarse(40)
    assert counts.sum() == 5000 and 20 <= len(counts) <= 40 and len(edges) == len(counts) + 1
    assert edges[0] <= values.min() and edges[-1] >= values.max()
    expected, _ = np.histogram(values.astype(np.float32), edges)
    assert counts.tolist() == expected.tolist()


def test_bad_input() -> None:
    histogram = of([1.0])
    with pytest.raises(ValueError, match="finite values only"):
        histogram.add(np.array([2.0, np.nan], dtype=np.float32))
    with pytest.raises(ValueError, match="finite values only"):
        histogram.add(np.array([np.inf], dtype=np.float32))
    assert same(histogram, of([1.0]))
    with pytest.raises(ValueError, match="no quantiles"):
        DyadicHistogram().quantile(0.5)
