"""Intervals and tests: exact small cases, and coverage on simulated evaluations."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth.core.seeds import generator
from hearth.reporting.intervals import (
    bootstrap_interval,
    paired_difference,
    sign_flip_p_value,
    stratified_mean,
)

Q_VALUES = np.array([0.0, 0.25, 0.5, 1.0])


def stream(*index: int) -> np.random.Generator:
    return generator(0, "test intervals", *index)


def test_mean_weighs_tasks_alike_and_counts_absent_ones():
    strata = [np.array([1.0, 1.0, 1.0, 1.0]), np.array([0.5, 0.0]), np.zeros(0)]
    assert stratified_mean(strata) == pytest.approx((1.0 + 0.25 + 0.0) / 3)


def test_coverage_of_the_95_percent_interval():
    """Two tasks of ten instances, as in the demo: 95 % of intervals hold the truth, about."""
    shares = (np.array([0.3, 0.2, 0.2, 0.3]), np.array([0.6, 0.1, 0.2, 0.1]))
    truth = np.mean([p @ Q_VALUES for p in shares])
    draw = stream(1)
    hits = 0
    for trial in range(500):
        strata = [draw.choice(Q_VALUES, size=10, p=p) for p in shares]
        interval = bootstrap_interval(strata, 600, 0.95, stream(2, trial))
        hits += interval.low <= truth <= interval.high
    assert 0.925 <= hits / 500 <= 0.985


def test_the_plain_percentile_level_is_widened_for_few_instances():
    values = np.array([0.0, 0.0, 0.5, 1.0, 1.0])
    low, high = np.quantile(stream(3).choice(values, size=(20_000, 5)).mean(axis=1), [0.025, 0.975])
    interval = bootstrap_interval([values], 20_000, 0.95, stream(4))
    assert interval.low < low
    assert interval.high > high


def test_all_alike_gives_the_exact_binomial_limit():
    """Ten of ten: Clopper and Pearson's 95 % limits are 0.6915 and 1."""
    interval = bootstrap_interval([np.ones(10)], 100, 0.95, stream(5))
    assert (interval.estimate, interval.high) == (1.0, 1.0)
    assert interval.low == pytest.approx(0.025**0.1)
    interval = bootstrap_interval([np.zeros(10), np.zeros(10)], 100, 0.95, stream(5))
    assert (interval.estimate, interval.low) == (0.0, 0.0)
    assert interval.high == pytest.approx(1 - 0.025 ** (1 / 20))


def test_all_alike_within_tasks_that_differ():
    """One task always succeeds, one never: each limit comes from the one task with room."""
    interval = bootstrap_interval([np.ones(10), np.zeros(10)], 100, 0.95, stream(6))
    room = 0.5 * (1 - 0.025**0.1)
    assert interval.low == pytest.approx(0.5 - room)
    assert interval.high == pytest.approx(0.5 + room)


def test_one_instance_per_task_has_no_interval():
    interval = bootstrap_interval([np.array([1.0]), np.array([0.0])], 100, 0.95, stream(7))
    assert (interval.estimate, interval.low, interval.high) == (0.5, None, None)


def test_absent_tasks_scale_the_interval():
    values = np.array([0.0, 0.5, 1.0, 1.0, 0.0, 0.5])
    alone = bootstrap_interval([values], 2000, 0.95, stream(8))
    half = bootstrap_interval([values, np.zeros(0)], 2000, 0.95, stream(8))
    assert half.low == pytest.approx(alone.low / 2)
    assert half.high == pytest.approx(alone.high / 2)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.lists(st.sampled_from(Q_VALUES.tolist()), min_size=2, max_size=12),
        min_size=1,
        max_size=4,
    )
)
def test_an_interval_holds_its_estimate_and_stays_in_bounds(scores):
    interval = bootstrap_interval([np.array(s) for s in scores], 200, 0.95, stream(9))
    assert interval.low is not None and interval.high is not None
    assert -1e-12 <= interval.low <= interval.estimate <= interval.high <= 1 + 1e-12


def test_sign_flip_exact_by_hand():
    # Differences 1, 1, 1: only the patterns +++ and --- are as extreme, of eight.
    assert sign_flip_p_value([np.ones(3)], 100, stream(10)) == pytest.approx(2 / 8)
    # 2 and 1 (times a third): of four patterns only ++ and -- reach three thirds.
    p = sign_flip_p_value([np.array([2.0, 1.0, 0.0])], 100, stream(10))
    assert p == pytest.approx(2 / 4)
    assert sign_flip_p_value([np.zeros(5)], 100, stream(10)) == 1.0


def test_random_signs_agree_with_all_signs(monkeypatch):
    values = [np.array([0.5, -0.25, 1.0, 0.5, 0.0, 0.5]), np.array([0.5, -0.5, 1.0, 0.25, 0.75])]
    exact = sign_flip_p_value(values, 100, stream(11))
    monkeypatch.setattr("hearth.reporting.intervals._EXACT_UP_TO", 0)
    sampled = sign_flip_p_value(values, 40_000, stream(11))
    assert sampled == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 40_000))


def test_p_values_are_uniform_without_a_difference():
    draw = stream(12)
    p_values = []
    for trial in range(300):
        change = [draw.choice([-1.0, -0.5, 0.0, 0.5, 1.0], size=10) for _ in range(2)]
        p_values.append(sign_flip_p_value(change, 400, stream(13, trial)))
    assert np.mean(np.array(p_values) <= 0.05) <= 0.09
    assert 0.4 <= np.mean(p_values) <= 0.6


def test_a_clear_difference_is_found():
    difference = paired_difference([np.array([1.0, 0.5] * 5)] * 2, 2000, 0.95, stream(14))
    assert difference.estimate == 0.75
    assert 0.5 < difference.low < 0.75 < difference.high <= 1.0
    assert difference.p_value < 0.001
    assert (difference.tasks, difference.instances) == (2, 20)


def test_always_better_by_one_still_has_room_below():
    difference = paired_difference([np.ones(10)], 100, 0.95, stream(15))
    assert difference.high == 1.0
    assert difference.low == pytest.approx(1 - 2 * (1 - 0.025**0.1))


def test_same_seed_same_interval():
    values = [stream(16).random(20)]
    first = bootstrap_interval(values, 500, 0.95, stream(17))
    assert first == bootstrap_interval(values, 500, 0.95, stream(17))
    assert first != bootstrap_interval(values, 500, 0.95, stream(18))


def test_ten_thousand_samples_of_fifty_tasks_are_quick():
    strata = [stream(19, task).choice(Q_VALUES, size=10) for task in range(50)]
    started = time.process_time()
    bootstrap_interval(strata, 10_000, 0.95, stream(20))
    paired_difference([values - 0.25 for values in strata], 10_000, 0.95, stream(20))
    assert time.process_time() - started < 2.0
