"""Confidence intervals and paired tests over the instances of fixed tasks.

The tasks of a benchmark are fixed; their instances are a sample. So all resampling happens within
a task (stratified), and the statistic is always the mean over tasks of the mean over instances.

Interval: the expanded percentile bootstrap (Hesterberg, "What teachers should know about the
bootstrap", The American Statistician 2015, section 5). The plain percentile interval is too narrow
for ten instances; widening its two quantile levels by the t distribution and by the n/(n-1) bias
of the resampled variance repairs that, with the degrees of freedom of Welch and Satterthwaite
over the strata.

Test: sign flips of the paired differences, instance by instance (a permutation test of "the two
evaluations are interchangeable on every instance"); exact up to 12 differing instances.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import special

_EXACT_UP_TO = 12  # 2^12 sign patterns: fewer than any sensible number of random ones
_FEW_INSTANCES = 64  # up to here instances are drawn one by one, as uint8
_BLOCK = 1 << 22  # entries of one block of random signs, to bound memory


@dataclass(frozen=True)
class Interval:
    """An estimate with its limits; both None where nothing shows the spread."""

    estimate: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Difference:
    """A paired difference: estimate, limits, two-sided p-value, and what it rests on."""

    estimate: float
    low: float | None
    high: float | None
    p_value: float
    tasks: int
    instances: int


def stratified_mean(strata: Sequence[np.ndarray]) -> float:
    """Mean over strata of their means; an empty stratum (an absent task) counts as zero."""
    return float(sum(values.mean() for values in strata if len(values)) / len(strata))


def bootstrap_interval(
    strata: Sequence[np.ndarray],
    samples: int,
    confidence: float,
    generator: np.random.Generator,
    bounds: tuple[float, float] | None = (0.0, 1.0),
) -> Interval:
    """Interval of the stratified mean.

    Args:
        strata: one float array of instance values per task, each within `bounds`.
        samples: number of bootstrap samples.
        confidence: e.g. 0.95.
        generator: source of randomness.
        bounds: the smallest and largest possible value of one instance; None where there are none,
            and then there are no limits where all instances of every task are alike.

    Returns:
        No limits with a single instance in every task, or of an infinite mean.

    Raises:
        ValueError: no stratum was given.
    """
    if not strata:
        raise ValueError("an interval needs at least one task")
    estimate = stratified_mean(strata)
    filled = [values for values in strata if len(values)]
    if not filled or min(len(values) for values in filled) < 2 or not np.isfinite(estimate):
        return Interval(estimate, None, None)
    spread = [values for values in filled if np.ptp(values) > 0.0]
    tail = (1.0 - confidence) / 2.0
    if not spread:
        if bounds is None:
            return Interval(estimate, None, None)
        return _alike_interval(estimate, filled, len(strata), tail, bounds)
    fixed = estimate - sum(values.mean() for values in spread) / len(strata)
    means = fixed + _resampled_sums(spread, samples, generator) / len(strata)
    level = _expanded_level(spread, tail)
    low, high = np.quantile(means, [level, 1.0 - level])
    return Interval(estimate, min(float(low), estimate), max(float(high), estimate))


def paired_difference(
    strata: Sequence[np.ndarray],
    samples: int,
    confidence: float,
    generator: np.random.Generator,
) -> Difference:
    """Mean paired difference with its interval and the p-value of the sign-flip test.

    Args:
        strata: per task the differences of instance scores, each in [-1, 1].
    """
    interval = bootstrap_interval(strata, samples, confidence, generator, bounds=(-1.0, 1.0))
    return Difference(
        estimate=interval.estimate,
        low=interval.low,
        high=interval.high,
        p_value=sign_flip_p_value(strata, samples, generator),
        tasks=len(strata),
        instances=sum(len(values) for values in strata),
    )


def sign_flip_p_value(
    strata: Sequence[np.ndarray], samples: int, generator: np.random.Generator
) -> float:
    """Two-sided p-value of the stratified mean of paired differences under random signs."""
    weighted = np.concatenate([values / (len(values) * len(strata)) for values in strata])
    weighted = weighted[weighted != 0.0]
    if not len(weighted):
        return 1.0
    # A tie must count as "at least as large" whatever the order of summation.
    observed = abs(weighted.sum()) * (1.0 - 1e-9)
    if len(weighted) <= _EXACT_UP_TO:
        totals = np.abs(_sign_patterns(len(weighted)) @ weighted)
        return float(np.count_nonzero(totals >= observed) / len(totals))
    extreme, left = 0, samples
    while left:
        count = min(left, max(1, _BLOCK // len(weighted)))
        bits = generator.integers(0, 256, (count, -(-len(weighted) // 8)), dtype=np.uint8)
        signs = np.unpackbits(bits, axis=1, count=len(weighted))
        totals = 2.0 * (signs.astype(np.float32) @ weighted.astype(np.float32)) - weighted.sum()
        extreme += int(np.sum(np.abs(totals) >= observed * (1.0 - 1e-5)))
        left -= count
    return (extreme + 1) / (samples + 1)


@cache
def _sign_patterns(count: int) -> np.ndarray:
    """float64[2^(count-1), count] of -1 and 1; the other half has the same totals, negated."""
    patterns = np.arange(2 ** (count - 1))[:, None] >> np.arange(count) & 1
    return 2.0 * patterns - 1.0


def _resampled_sums(
    strata: list[np.ndarray], samples: int, generator: np.random.Generator
) -> np.ndarray:
    """float64[samples]: sum over strata of the mean of a resampled stratum."""
    total = np.zeros(samples)
    for values in strata:
        if len(values) <= _FEW_INSTANCES:
            drawn = generator.integers(0, len(values), (len(values), samples), dtype=np.uint8)
            # Row by row: fresh memory for all rows at once costs more than the work in it.
            total += sum(map(values.take, drawn)) / len(values)
            continue
        # Scores take few distinct values, so drawing how often each occurs (multinomial) is the
        # same as drawing instances; of many instances it is less work.
        distinct, counts = np.unique(values, return_counts=True)
        drawn = generator.multinomial(len(values), counts / len(values), size=samples)
        total += drawn @ distinct / len(values)
    return total


def _expanded_level(strata: list[np.ndarray], tail: float) -> float:
    """The quantile level that replaces `tail` (Hesterberg 2015), for several strata."""
    sizes = np.array([len(values) for values in strata], dtype=float)
    plain = np.array([values.var() for values in strata]) / sizes
    unbiased = plain * sizes / (sizes - 1.0)
    freedom = unbiased.sum() ** 2 / np.sum(unbiased**2 / (sizes - 1.0))
    stretch = np.sqrt(unbiased.sum() / plain.sum())
    return float(special.ndtr(stretch * special.stdtrit(freedom, tail)))


def _alike_interval(
    estimate: float,
    strata: list[np.ndarray],
    tasks: int,
    tail: float,
    bounds: tuple[float, float],
) -> Interval:
    """The interval where, within every task, all instances score alike.

    Resampling shows no spread then. But n alike instances still leave room for others: seeing none
    has probability (1-p)^n for a share p, which must not fall below `tail` (for one task this is
    Clopper and Pearson's limit for n of n). The others could score anything within `bounds`.
    """
    values = np.array([stratum[0] for stratum in strata])
    sizes = np.array([len(stratum) for stratum in strata], dtype=float)
    below = _largest_shift((values - bounds[0]) / tasks, sizes, tail)
    above = _largest_shift((bounds[1] - values) / tasks, sizes, tail)
    return Interval(estimate, estimate - below, estimate + above)


def _largest_shift(rooms: np.ndarray, sizes: np.ndarray, tail: float) -> float:
    """Maximum of sum(rooms * p) over shares p with prod((1-p)^sizes) >= tail.

    At the maximum 1-p = min(1, scale * sizes / rooms) with one common scale.
    """
    kept = rooms > 0.0
    while kept.any():
        ratio = sizes[kept] / rooms[kept]
        log_scale = (np.log(tail) - np.sum(sizes[kept] * np.log(ratio))) / sizes[kept].sum()
        remaining = np.exp(log_scale) * ratio
        if np.all(remaining <= 1.0):
            return float(np.sum(rooms[kept] * (1.0 - remaining)))
        kept[np.flatnonzero(kept)[remaining > 1.0]] = False
    return 0.0
