from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.benchmark import Benchmark, load_benchmark
from hearth.core.errors import SettingsError
from hearth.core.sections import RuntimeSettings
from hearth.policy.chunking import absolute_chunk, check_horizon, normalised_targets, plan

from .conftest import make_statistics

GRIPPERS, BASE = (14, 22), slice(0, 3)
FACTS = load_benchmark("household")
REPORT = RuntimeSettings(actions_to_execute=26, actions_to_keep=4, compression=1.3)


def numbered(horizon: int = 30) -> np.ndarray:
    """Each action holds its index, grippers stand still."""
    chunk = np.tile(np.arange(float(horizon))[:, None], (1, 23))
    chunk[:, list(GRIPPERS)] = 1.0
    return chunk


def test_without_compression_kept_actions_follow_the_executed_ones() -> None:
    runtime = RuntimeSettings(actions_to_execute=12, actions_to_keep=4)
    result = plan(numbered(), runtime, GRIPPERS, BASE)
    assert result.actions[:, 5].tolist() == list(range(12))
    assert result.kept[:, 5].tolist() == [12, 13, 14, 15]


def test_compression_executes_fewer_steps_and_keeps_what_follows_the_prediction() -> None:
    result = plan(numbered(), REPORT, GRIPPERS, BASE)
    assert len(result.actions) == 20
    np.testing.assert_allclose(result.actions[:, 5], np.arange(20) * 25 / 19, atol=1e-5)
    np.testing.assert_allclose(result.actions[:, 0], 1.3 * np.arange(20) * 25 / 19, atol=1e-5)
    assert result.kept[:, 5].tolist() == [26, 27, 28, 29]
    slow = plan(
        numbered(), REPORT.model_copy(update={"scale_base_velocity": False}), GRIPPERS, BASE
    )
    assert slow.actions[-1, 0] == pytest.approx(25)


def test_a_moving_gripper_switches_compression_off() -> None:
    chunk = numbered()
    chunk[25, 22] = 0.5
    result = plan(chunk, REPORT, GRIPPERS, BASE)
    assert result.actions[:, 0].tolist() == list(range(20))
    assert result.kept[:, 5].tolist() == [20, 21, 22, 23]
    always = REPORT.model_copy(update={"compression_gripper_span": None})
    assert plan(chunk, always, GRIPPERS, BASE).kept[0, 5] == 26
    chunk[25, 22], chunk[26, 22] = 1.0, 0.5  # beyond what is executed
    assert plan(chunk, REPORT, GRIPPERS, BASE).kept[0, 5] == 26


@given(
    execute=st.integers(2, 26),
    keep=st.integers(0, 4),
    compression=st.floats(0.8, 3.0),
    moves=st.booleans(),
)
def test_kept_actions_continue_the_executed_ones(
    execute: int, keep: int, compression: float, moves: bool
) -> None:
    """The first kept action is the prediction one step after the last executed one."""
    runtime = RuntimeSettings(
        actions_to_execute=execute, actions_to_keep=keep, compression=compression
    )
    chunk = numbered(horizon=40)
    if moves:
        chunk[execute - 1, 14] = -1.0
    result = plan(chunk, runtime, GRIPPERS, BASE)
    steps = max(1, round(execute / compression))
    assert len(result.actions) == steps and len(result.kept) == keep
    last = result.actions[-1, 5] if steps > 1 else (0 if moves else execute - 1)
    expected = np.arange(keep) + 1 + last
    np.testing.assert_allclose(result.kept[:, 5], expected, atol=1e-4)


def test_more_actions_than_the_horizon_are_refused() -> None:
    check_horizon(REPORT, 30)
    with pytest.raises(SettingsError, match=r"takes up to 27 predicted actions.*horizon is 30"):
        check_horizon(REPORT.model_copy(update={"actions_to_execute": 27}), 30)
    with pytest.raises(SettingsError, match=r"compression 0.5 takes up to 40 predicted"):
        check_horizon(RuntimeSettings(actions_to_execute=20, compression=0.5), 30)


@given(seed=st.integers(0, 10_000), kept=st.integers(1, 30))
def test_targets_and_predictions_are_inverse(seed: int, kept: int) -> None:
    """Kept absolute actions, seen from another state, stand for the same absolute actions."""
    random = np.random.default_rng(seed)
    statistics, mask = make_statistics(FACTS), FACTS.robot.delta_mask
    actions, state = random.normal(size=(kept, 23)), random.normal(size=23)
    targets = normalised_targets(actions, state, statistics, mask)
    assert targets.shape == (kept, 23)
    np.testing.assert_allclose(absolute_chunk(targets, state, statistics, mask), actions, atol=2e-6)


def test_only_joints_are_relative_to_the_state(benchmark_facts: Benchmark) -> None:
    statistics, mask = make_statistics(benchmark_facts), benchmark_facts.robot.delta_mask
    zeros, state = np.zeros((4, 23)), np.ones(23)
    moved = normalised_targets(zeros, state, statistics, mask)
    still = normalised_targets(zeros, 0 * state, statistics, mask)
    changed = np.abs(moved - still).max(axis=0) > 0
    assert np.flatnonzero(~changed).tolist() == [0, 1, 2, 6, 14, 22]
