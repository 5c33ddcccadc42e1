"""Several comparisons at once, how long to go on, and how much repeated runs differ.

Pure functions on numbers; statsmodels and scipy do the mathematics. statsmodels is imported where
it is used: it takes seconds, and only tables need it.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
from scipy import special

POWER = 0.8  # chance that a comparison of the proposed size would tell a difference like this
_SMALLEST_EFFECT = 0.005  # in standard deviations; below, no practical number of episodes is enough
_LARGEST_EFFECT = 2.0  # beyond, five instances are enough
_FAR = 4.0  # standard errors


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted so that the chance of any false claim among them stays within the level.

    Holm's step-down: the i-th smallest of m times m - i + 1, never less than the one before.
    """
    from statsmodels.stats.multitest import multipletests

    if not p_values:
        return []
    # It collects garbage at each call, a quarter of a second among the episodes of a large table.
    gc.freeze()
    try:
        return np.asarray(multipletests(p_values, method="holm")[1]).tolist()
    finally:
        gc.unfreeze()


def compact_letters(names: Sequence[str], different: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The compact letter display: two names share a letter unless they are told apart.

    Every letter stands for a largest group in which no two are told apart (a maximal clique), so
    that two names share one exactly when no comparison of them was significant.

    Args:
        names: best first; letters follow their order.
        different: the pairs that are told apart.
    """
    import networkx

    alike = networkx.complete_graph(list(names))
    alike.remove_edges_from(different)
    order = {name: index for index, name in enumerate(names)}
    groups = sorted(
        sorted(order[name] for name in clique) for clique in networkx.find_cliques(alike)
    )
    return {
        name: "".join(_letter(i) for i, group in enumerate(groups) if order[name] in group)
        for name in names
    }


def _letter(index: int) -> str:
    return chr(ord("a") + index % 26) + (str(index // 26) if index >= 26 else "")


def instances_to_settle(
    strata: Sequence[np.ndarray], p_value: float, level: float, comparisons: int = 1
) -> int | None:
    """How many more paired instances would settle a comparison, over all tasks together.

    The number for which a t-test on instances as varied as these finds a true difference of the
    size observed with probability `POWER`, less those there are. With several comparisons it finds
    it at the strictest step of Holm's correction, the level divided by their number.

    Args:
        strata: per task the paired differences, one per instance.
        p_value: of the comparison as it stands, corrected.
        level: e.g. 0.05.
        comparisons: how many were corrected together.

    Returns:
        0 exactly when it is settled, told apart after the correction; None when the difference is
        too close to zero for any number, or no task has two instances that show how they vary.
    """
    if p_value <= level:
        return 0
    variances = [values.var(ddof=1) for values in strata if len(values) > 1]
    deviation = math.sqrt(np.mean(variances)) if variances else 0.0
    difference = abs(float(np.mean([values.mean() for values in strata])))
    if deviation == 0.0 or difference < _SMALLEST_EFFECT * deviation:
        return None
    # Three digits keep the number within half a percent, and equal effects are solved once.
    effect = float(f"{min(difference / deviation, _LARGEST_EFFECT):.3g}")
    present = sum(len(values) for values in strata)
    return max(1, _instances_needed(effect, level / comparisons) - present)


@cache
def _instances_needed(effect: float, level: float) -> int:
    """Fewest instances with which a t-test finds a mean of `effect` standard deviations.

    From the normal approximation a step at a time: the solver of statsmodels, `solve_power`, stops
    early at strict levels (docs/decisions/0006).
    """
    wanted = float(special.ndtri(1.0 - level / 2.0) + special.ndtri(POWER))
    needed = max(2, math.ceil((wanted / effect) ** 2))
    while _power(needed, effect, level) < POWER:
        needed += 1
    while needed > 2 and _power(needed - 1, effect, level) >= POWER:
        needed -= 1
    return needed


def _power(instances: int, effect: float, level: float) -> float:
    """The chance that a two-sided t-test finds the effect: by the noncentral t distribution."""
    from statsmodels.stats.power import TTestPower

    power = partial(TTestPower().power, effect, instances, level / 2.0)
    above = power(alternative="larger")
    # Far from zero the other tail is below 1e-7, and there is no number for it: nan.
    near = effect * math.sqrt(instances) < _FAR
    return float(above + (power(alternative="smaller") if near else 0.0))


@dataclass(frozen=True)
class Noise:
    """How much the overall score of a policy varies when nothing changes.

    Attributes:
        runs: repeated runs of every instance.
        deviation: standard deviation of one run's score, with one rollout per instance.
        difference: two runs differ by less than this with the probability of `noise`'s confidence.
    """

    runs: int
    deviation: float
    difference: float


def noise(scores: Mapping[str, np.ndarray], confidence: float) -> Noise | None:
    """The noise floor from repeated runs on the same instances.

    Args:
        scores: per task float64[instances, runs].
        confidence: e.g. 0.95.

    Returns:
        None without two runs of any instance.
    """
    used = [values for values in scores.values() if values.size and values.shape[1] > 1]
    if not used:
        return None
    of_means = [values.var(axis=1, ddof=1).mean() / len(values) for values in used]
    deviation = math.sqrt(sum(of_means)) / len(used)
    freedom = sum(len(values) * (values.shape[1] - 1) for values in used)
    factor = float(special.stdtrit(freedom, 0.5 + confidence / 2.0))
    return Noise(used[0].shape[1], deviation, factor * math.sqrt(2.0) * deviation)
