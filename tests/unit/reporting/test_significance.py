"""Corrections, letters, sample sizes and noise against figures worked out by hand."""

from __future__ import annotations

import gc
import itertools
import math

import numpy as np
import pytest
from scipy import special, stats

from hearth.reporting.significance import compact_letters, holm, instances_to_settle, noise


def test_holm_by_hand():
    # Ordered 0.01, 0.03, 0.04: times 3, 2, 1, and never falling.
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.7]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


@pytest.mark.parametrize("seed", range(10))
def test_holm_claims_what_its_steps_claim(seed):
    """Holm (1979): from the smallest on, until one is above the level over those that are left."""
    p_values = np.random.default_rng(seed).random(30).round(1) ** 3
    adjusted = np.array(holm(list(p_values)))
    for level in (0.001, 0.008, 0.05, 0.2, 0.9):
        claimed = np.zeros(30, bool)
        for place, index in enumerate(np.argsort(p_values)):
            if p_values[index] * (30 - place) > level:
                break
            claimed[index] = True
        np.testing.assert_array_equal(adjusted <= level, claimed)


@pytest.mark.parametrize(
    ("different", "letters"),
    [
        ([], {"best": "a", "middle": "a", "worst": "a"}),
        ([("best", "worst")], {"best": "a", "middle": "ab", "worst": "b"}),
        ([("best", "worst"), ("best", "middle")], {"best": "a", "middle": "b", "worst": "b"}),
        (
            [("best", "worst"), ("best", "middle"), ("middle", "worst")],
            {"best": "a", "middle": "b", "worst": "c"},
        ),
    ],
)
def test_letters_by_hand(different, letters):
    assert compact_letters(["best", "middle", "worst"], different) == letters


@pytest.mark.parametrize("seed", range(20))
def test_a_letter_is_shared_exactly_where_no_difference_was_found(seed):
    generator = np.random.default_rng(seed)
    names = [f"run-{index}" for index in range(7)]
    pairs = list(itertools.combinations(names, 2))
    different = {pair for pair in pairs if generator.random() < 0.4}
    letters = compact_letters(names, different)
    for pair in pairs:
        shared = set(letters[pair[0]]) & set(letters[pair[1]])
        assert bool(shared) == (pair not in different)


def values(mean: float, deviation: float, count: int) -> np.ndarray:
    """`count` (even) values with this mean and sample standard deviation."""
    step = deviation * np.sqrt((count - 1) / count)
    return mean + step * np.where(np.arange(count) % 2, 1.0, -1.0)


def test_instances_to_settle_is_the_textbook_sample_size():
    # A t-test at 5 % with a power of 80 % on an effect of 0.5 needs 34 instances (Cohen 1988).
    assert instances_to_settle([values(0.5, 1.0, 10)], 0.2, 0.05) == 24
    # Two tasks with the same spread share the instances.
    assert instances_to_settle([values(0.5, 1.0, 10)] * 2, 0.2, 0.05) == 14


def test_several_comparisons_need_more_instances():
    strata = [values(0.5, 1.0, 10)]
    assert instances_to_settle(strata, 0.2, 0.05, 5) == instances_to_settle(strata, 0.2, 0.01) == 41


@pytest.mark.parametrize("level", [0.05, 0.01, 0.2])
@pytest.mark.parametrize("effect", [0.005, 0.021, 0.18, 0.5, 0.97, 1.6, 2.0])
def test_instances_to_settle_are_the_fewest_of_that_power(effect, level):
    def power(count):
        """By scipy's special functions, both tails."""
        critical, shift = special.stdtrit(count - 1, 1 - level / 2), effect * np.sqrt(count)
        below = special.nctdtr(count - 1, shift, -critical) if shift < 4 else 0.0
        return 1 - special.nctdtr(count - 1, shift, critical) + below

    needed = next(count for count in itertools.count(_bound(effect, level)) if power(count) >= 0.8)
    assert instances_to_settle([values(effect, 1.0, 4)], 0.5, level) == max(1, needed - 4)


def _bound(effect, level):
    """Fewer than are needed: with a spread that is known, and room for what the far tail adds."""
    known = (stats.norm.isf(level / 2) + stats.norm.isf(0.2)) ** 2 / effect**2
    return max(2, math.floor(0.99 * known) - 2)


@pytest.mark.parametrize("comparisons", [1, 45, 1000])
@pytest.mark.parametrize("effect", [0.005, 0.021, 0.05, 0.18, 0.5, 0.97, 2.0])
def test_instances_to_settle_have_the_power_at_strict_levels(effect, comparisons):
    found = instances_to_settle([values(effect, 1.0, 4)], 0.5, 0.05, comparisons)
    assert found is not None and found >= 1

    def power(count):
        critical = stats.t.ppf(1 - 0.05 / comparisons / 2, count - 1)
        return stats.nct.sf(
            critical, count - 1, effect * np.sqrt(count)
        )  # the other tail: below 1e-5

    assert power(found + 4) >= 0.8 - 1e-5
    assert power(found + 3) < 0.8 or found == 1


def test_the_number_at_a_strict_level_is_not_that_of_a_solver_that_stops_early():
    # 0.05 over 1,000 comparisons: with the normal approximation
    # (z(0.999975) + z(0.8))^2 / 0.05^2 = (4.0556 + 0.8416)^2 * 400 = 9,593, and a few for the t.
    assert instances_to_settle([values(0.05, 1.0, 4)], 0.5, 0.05, 1000) == 9602 - 4


@pytest.mark.parametrize(("effect", "instances"), [(0.5, 34), (0.8, 15), (1.0, 10)])
def test_experiments_of_the_size_find_the_effect_as_often_as_promised(effect, instances):
    """Monte Carlo: the smallest size finds it in 80 % of the experiments, one fewer in less."""
    assert instances_to_settle([values(effect, 1.0, 4)], 0.5, 0.05) == instances - 4
    drawn = np.random.default_rng(0).normal(effect, 1.0, (200_000, instances))
    error = 4 * math.sqrt(0.8 * 0.2 / len(drawn))  # four standard errors
    assert (stats.ttest_1samp(drawn, 0.0, axis=1).pvalue <= 0.05).mean() > 0.8 - error
    assert (stats.ttest_1samp(drawn[:, 1:], 0.0, axis=1).pvalue <= 0.05).mean() < 0.8 + error


def test_holm_leaves_the_garbage_collector_as_it_was():
    holm([0.5])
    was = gc.isenabled(), gc.get_threshold(), gc.get_freeze_count()
    with pytest.raises(TypeError):
        holm(["not a number"])  # pyright: ignore[reportArgumentType]
    assert holm([0.01, 0.04]) == pytest.approx([0.02, 0.04])
    assert (gc.isenabled(), gc.get_threshold(), gc.get_freeze_count()) == was


@pytest.mark.parametrize(
    ("strata", "p_value", "expected"),
    [
        ([values(0.5, 1.0, 10)], 0.05, 0),
        ([values(0.0, 1.0, 10)], 1.0, None),
        ([np.full(10, 0.5)], 0.06, None),
        ([np.array([0.5]), np.array([0.25])], 0.5, None),
        ([values(10.0, 0.1, 4)], 0.125, 1),
    ],
)
def test_instances_to_settle_at_the_edges(strata, p_value, expected):
    assert instances_to_settle(strata, p_value, 0.05) == expected


def test_the_noise_floor_by_hand():
    scores = {
        "radio": np.array([[0.0, 1.0], [0.0, 0.0]]),  # variances 0.5 and 0
        "trash": np.array([[1.0, 1.0], [0.0, 0.0]]),
    }
    found = noise(scores, 0.95)
    assert found is not None and found.runs == 2
    # radio: mean variance 0.25 over 2 instances; the overall score is the mean of two tasks.
    assert found.deviation == pytest.approx(np.sqrt(0.25 / 2) / 2)
    # t with 4 degrees of freedom: 2.7764; the difference of two runs varies by sqrt(2) more.
    assert found.difference == pytest.approx(2.7764 * np.sqrt(2) * found.deviation, rel=1e-4)


def test_no_noise_floor_without_a_second_run():
    assert noise({"radio": np.array([[0.5], [1.0]])}, 0.95) is None
    assert noise({"radio": np.zeros((0,))}, 0.95) is None


def test_the_noise_floor_covers_the_difference_of_two_runs():
    generator = np.random.default_rng(0)
    inside = 0
    for _ in range(400):
        chances = generator.random((4, 10, 1))
        runs = (generator.random((4, 10, 4)) < chances).astype(float)
        found = noise({str(task): runs[task, :, :3] for task in range(4)}, 0.95)
        another, more = runs[..., 3].mean(), (generator.random((4, 10)) < chances[..., 0]).mean()
        inside += abs(another - more) < found.difference
    assert 0.92 < inside / 400 < 0.98
