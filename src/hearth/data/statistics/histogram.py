"""A histogram that merges exactly and needs no range beforehand: quantiles of a stream."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

BINS = 8192  # at most so many bins: a bin is narrower than 2 / (BINS - 1) = 0.025 % of the range
_SMALLEST_EXPONENT = -100  # 2^100 still scales float32 values without overflow
_INDEX_BITS = 23  # bin numbers stay below 2^23, which float32 holds exactly


@dataclass
class DyadicHistogram:
    """Counts of float32 values in bins [i * 2^e, (i + 1) * 2^e) that are aligned to zero.

    The exponent e is the smallest one with which the range of all values spans at most `BINS` bins,
    so it follows from the smallest and largest value alone; and because floor(floor(x) / 2) =
    floor(x / 2), joining two bins gives the very bin of the next exponent. Hence the state depends
    on the multiset of values only, not on the order of `add` and `merge` or on how the values were
    split: merging is exact, associative and commutative.

    A quantile is within one bin of the true one: 0.025 % of the range of the values, or 2^-22 of
    the largest magnitude where the range is so narrow that float32 resolves no more.

    Attributes:
        minimum, maximum: of all values; +inf and -inf while empty.
        exponent: e.
        counts: int64[n], from the bin of `minimum` to the bin of `maximum`.
    """

    minimum: float = math.inf
    maximum: float = -math.inf
    exponent: int = _SMALLEST_EXPONENT
    counts: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    @classmethod
    def of_counts(cls, minimum: float, maximum: float, counts: np.ndarray) -> DyadicHistogram:
        """From stored values; `counts` may be longer than the bins that are in use."""
        if minimum > maximum:
            return cls()
        exponent = _exponent(minimum, maximum)
        used = _bin(maximum, exponent) - _bin(minimum, exponent) + 1
        return cls(minimum, maximum, exponent, counts[:used].copy())

    @property
    def first(self) -> int:
        """The number of the first bin."""
        return _bin(self.minimum, self.exponent) if len(self.counts) else 0

    @property
    def width(self) -> float:
        """The width of a bin, in the values' unit."""
        return math.ldexp(1.0, self.exponent)

    @property
    def count(self) -> int:
        return int(self.counts.sum())

    def add(self, values: np.ndarray, weights: np.ndarray | None = None) -> None:
        """Count float32 values of any shape; `weights` are whole numbers of the same shape.

        Raises:
            ValueError: a value is not finite; nothing is counted.
        """
        if values.size == 0:
            return
        low, high = float(values.min()), float(values.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            raise ValueError("a histogram takes finite values only")
        self._extend(low, high)
        # In place and in float32: scaling by a power of two, floor and the shift are all exact.
        scaled = np.multiply(values, math.ldexp(1.0, -self.exponent), dtype=np.float32)
        np.floor(scaled, out=scaled)
        scaled -= np.float32(self.first)
        bins = scaled.astype(np.int32).ravel()
        found = np.bincount(bins, None if weights is None else weights.ravel())
        self.counts[: len(found)] += found.astype(np.int64, copy=False)

    def merge(self, other: DyadicHistogram) -> None:
        """Add the counts of `other`, which stays as it is."""
        if not len(other.counts):
            return
        self._extend(other.minimum, other.maximum)
        moved = _coarsen(other.counts, other.first, self.exponent - other.exponent)
        start = (other.first >> (self.exponent - other.exponent)) - self.first
        self.counts[start : start + len(moved)] += moved

    def _extend(self, low: float, high: float) -> None:
        """Make room for the range `low` to `high`."""
        if low >= self.minimum and high <= self.maximum:
            return
        first = self.first
        minimum, maximum = min(low, self.minimum), max(high, self.maximum)
        exponent = _exponent(minimum, maximum)
        start, stop = _bin(minimum, exponent), _bin(maximum, exponent) + 1
        counts = np.zeros(stop - start, dtype=np.int64)
        if len(self.counts):
            moved = _coarsen(self.counts, first, exponent - self.exponent)
            offset = (first >> (exponent - self.exponent)) - start
            counts[offset : offset + len(moved)] = moved
        self.minimum, self.maximum = minimum, maximum
        self.exponent, self.counts = exponent, counts

    def quantile(self, q: float) -> float:
        """The q-quantile, interpolated between neighbouring values like `numpy.quantile`.

        Raises:
            ValueError: the histogram is empty.
        """
        if not len(self.counts):
            raise ValueError("an empty histogram has no quantiles")
        rank = q * (self.count - 1)
        lower = math.floor(rank)
        low, high = self._order_statistic(lower), self._order_statistic(math.ceil(rank))
        return low + (rank - lower) * (high - low)

    def _order_statistic(self, position: int) -> float:
        """About the value at `position` of the sorted values: spread evenly within its bin."""
        if position == 0:
            return self.minimum
        total = np.cumsum(self.counts)
        if position == total[-1] - 1:
            return self.maximum
        bin_ = int(np.searchsorted(total, position, side="right"))
        within = (position - (total[bin_] - self.counts[bin_]) + 0.5) / self.counts[bin_]
        value = (self.first + bin_ + within) * self.width
        return min(max(value, self.minimum), self.maximum)

    def coarse(self, bins: int) -> tuple[np.ndarray, np.ndarray]:
        """Counts int64[n] and edges float64[n + 1] of at most `bins` wider bins, for figures."""
        shift = 0
        while (self.first + len(self.counts) - 1 >> shift) - (self.first >> shift) >= bins:
            shift += 1
        counts = _coarsen(self.counts, self.first, shift)
        edges = ((self.first >> shift) + np.arange(len(counts) + 1)) * math.ldexp(
            1.0, self.exponent + shift
        )
        return counts, edges


def _bin(value: float, exponent: int) -> int:
    return math.floor(math.ldexp(value, -exponent))


def _exponent(low: float, high: float) -> int:
    """The smallest exponent with which `low` to `high` span at most `BINS` bins."""
    exponent, magnitude = _SMALLEST_EXPONENT, max(abs(low), abs(high))
    if magnitude > 0.0:
        exponent = max(exponent, math.frexp(magnitude)[1] - _INDEX_BITS)
    if high > low:
        # Two exponents below that of range / BINS, the range spans at least 2 * BINS bins.
        exponent = max(exponent, math.frexp((high - low) / BINS)[1] - 2)
    while _bin(high, exponent) - _bin(low, exponent) >= BINS:
        exponent += 1
    return exponent


def _coarsen(counts: np.ndarray, first: int, steps: int) -> np.ndarray:
    """Join 2^steps bins each; `first` is the number of the first bin."""
    if steps == 0 or not len(counts):
        return counts
    numbers = (first + np.arange(len(counts))) >> min(steps, 62)
    starts = np.flatnonzero(np.diff(numbers, prepend=numbers[0] - 1))
    return np.add.reduceat(counts, starts)
