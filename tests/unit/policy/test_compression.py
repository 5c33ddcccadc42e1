from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import CubicSpline

from hearth.policy.compression import (
    compress,
    executed_steps,
    gripper_moves,
    gripper_spans,
    resample,
)

BASE, GRIPPERS = slice(0, 3), (14, 22)


@given(st.integers(2, 40), st.integers(2, 40), st.integers(0, 1000))
def test_resampling_keeps_both_end_points(count: int, length: int, seed: int) -> None:
    actions = np.random.default_rng(seed).normal(size=(count, 4))
    out = resample(actions, length)
    assert out.shape == (length, 4)
    np.testing.assert_allclose(out[[0, -1]], actions[[0, -1]], atol=1e-9)


@given(st.integers(4, 30), st.integers(2, 30), st.integers(0, 1000))
def test_resampling_is_the_not_a_knot_spline(count: int, length: int, seed: int) -> None:
    actions = np.random.default_rng(seed).normal(size=(count, 3))
    spline = CubicSpline(np.linspace(0, 1, count), actions, bc_type="not-a-knot")
    np.testing.assert_allclose(
        resample(actions, length), spline(np.linspace(0, 1, length)), atol=1e-9
    )


def test_cubics_are_resampled_exactly() -> None:
    time = np.linspace(0, 1, 26)
    actions = np.stack([time**3 - time, 2 * time**2, time], axis=1)
    fine = np.linspace(0, 1, 20)
    expected = np.stack([fine**3 - fine, 2 * fine**2, fine], axis=1)
    np.testing.assert_allclose(resample(actions, 20), expected, atol=1e-12)


@given(st.integers(2, 30), st.integers(2, 30), st.integers(0, 1000))
def test_compression_scales_base_velocity_alone_by_the_ratio_of_lengths(
    count: int, length: int, seed: int
) -> None:
    actions = np.random.default_rng(seed).normal(size=(count, 23))
    out, same = compress(actions, length, BASE), resample(actions, length)
    np.testing.assert_allclose(out[:, BASE], same[:, BASE] * count / length)
    np.testing.assert_array_equal(out[:, 3:], same[:, 3:])
    unscaled = compress(actions, length, BASE, scale_base_velocity=False)
    np.testing.assert_array_equal(unscaled, same)


def test_the_base_travels_as_far_in_fewer_steps() -> None:
    actions = np.tile([0.5, -0.2, 0.1, 7.0], (26, 1))
    out = compress(actions, 20, BASE)
    np.testing.assert_allclose(out[:, BASE].sum(0), actions[:, BASE].sum(0))
    np.testing.assert_allclose(out[:, 3], 7.0)


@pytest.mark.parametrize(
    ("predicted", "compression", "steps"),
    [(26, 1.3, 20), (12, 1.0, 12), (12, 0.5, 24), (16, 1.3, 12), (1, 5.0, 1)],
)
def test_executed_steps(predicted: int, compression: float, steps: int) -> None:
    assert executed_steps(predicted, compression) == steps


def test_a_gripper_moves_when_its_plan_spans_more_than_the_limit() -> None:
    actions = np.zeros((26, 23))
    actions[:, 3] = np.linspace(-1, 1, 26)  # a joint: of no interest
    actions[:, 14] = np.linspace(0.0, 0.19, 26)
    assert gripper_spans(actions, GRIPPERS) == pytest.approx([0.19, 0.0])
    assert not gripper_moves(actions, GRIPPERS, 0.2)
    assert gripper_moves(actions, GRIPPERS, 0.1)
    actions[-1, 22] = -0.21
    assert gripper_moves(actions, GRIPPERS, 0.2)
    assert not gripper_moves(actions, GRIPPERS, None)


def test_one_action_is_repeated() -> None:
    np.testing.assert_array_equal(resample(np.ones((1, 2)), 3), np.ones((3, 2)))
