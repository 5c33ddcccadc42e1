from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.policy.compression import compress, consumed_actions, gripper_moves, resample

BASE = slice(0, 3)


@given(st.integers(2, 40), st.integers(2, 40), st.integers(0, 1000))
def test_resampling_keeps_both_end_points(count: int, length: int, seed: int) -> None:
    actions = np.random.default_rng(seed).normal(size=(count, 4))
    out = resample(actions, length)
    assert out.shape == (length, 4)
    np.testing.assert_allclose(out[[0, -1]], actions[[0, -1]], atol=1e-9)


def test_cubics_are_resampled_exactly() -> None:
    time = np.linspace(0, 1, 26)
    actions = np.stack([time**3 - time, 2 * time**2, time], axis=1)
    fine = np.linspace(0, 1, 20)
    expected = np.stack([fine**3 - fine, 2 * fine**2, fine], axis=1)
    np.testing.assert_allclose(resample(actions, 20), expected, atol=1e-12)


def test_the_base_travels_as_far_in_fewer_steps() -> None:
    actions = np.tile([0.5, -0.2, 0.1, 7.0], (26, 1))
    out = compress(actions, 20, BASE)
    np.testing.assert_allclose(out[:, BASE].sum(0), actions[:, BASE].sum(0))
    np.testing.assert_allclose(out[:, 3], 7.0)


@pytest.mark.parametrize(
    ("executed", "factor", "used"), [(20, 1.3, 26), (12, 1.0, 12), (12, 1.3, 16)]
)
def test_consumed_actions(executed: int, factor: float, used: int) -> None:
    assert consumed_actions(executed, factor) == used


def test_a_gripper_moves_when_its_plan_spans_more_than_a_fifth() -> None:
    actions = np.zeros((26, 23))
    actions[:, 3] = np.linspace(-1, 1, 26)  # a joint: of no interest
    actions[:, 14] = np.linspace(0.0, 0.19, 26)
    assert not gripper_moves(actions, (14, 22))
    actions[-1, 22] = -0.21
    assert gripper_moves(actions, (14, 22))


def test_one_action_is_repeated() -> None:
    np.testing.assert_array_equal(resample(np.ones((1, 2)), 3), np.ones((3, 2)))
