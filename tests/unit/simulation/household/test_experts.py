"""The scripted experts: they succeed under noise, by contact alone, and reproducibly."""

from __future__ import annotations

import numpy as np
import pytest

from hearth.benchmark import load_benchmark
from hearth.core.errors import SimulationError
from hearth.simulation.household.experts import EXPERTS, NoisyExecution, create
from hearth.simulation.household.experts.geometry import (
    blend_towards,
    hand_rotation,
    standing_pose,
    wrap_half_turn,
)
from hearth.simulation.household.experts.success import success_count
from hearth.simulation.household.robot import ACTION_LOWER, ACTION_SLICES, ACTION_UPPER

from .scenes import environment


def roll(task: str, instance: int, seed: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Actions and proprioception of the first steps of a noisy episode."""
    env = environment(task)
    observation = env.reset(instance, start_noise_seed=seed)
    expert = create(task)
    execution = NoisyExecution(seed, base=expert.base_noise)
    expert.reset(env)
    actions, states = [], []
    for _ in range(steps):
        actions.append(expert.act(env))
        states.append(observation["robot_r1::proprio"])
        observation = env.step(execution(actions[-1], expert.noise_gain)).observation
    return np.stack(actions), np.stack(states)


@pytest.mark.parametrize("task", sorted(EXPERTS))
def test_expert_succeeds_under_noise(task: str) -> None:
    count = success_count(task, [201, 202], noise=0.04, limit=1500)
    assert not count.failed, str(count)
    # The benchmark's length, from which time limits come, is that of this expert.
    length = load_benchmark("household").task(task).human_length_frames
    assert np.mean(count.steps) == pytest.approx(length, rel=0.25), str(count)


def test_the_same_seed_gives_the_same_episode() -> None:
    first, second = (roll("turning_on_radio", 3, 5, 30) for _ in range(2))
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])


def test_other_noise_gives_another_episode() -> None:
    first, second = (roll("turning_on_radio", 3, seed, 10)[0] for seed in (5, 6))
    assert np.abs(first - second).max() > 0.01


def test_recorded_actions_are_clean_and_within_limits() -> None:
    actions, _ = roll("picking_up_trash", 4, 1, 40)
    assert (actions >= ACTION_LOWER).all() and (actions <= ACTION_UPPER).all()
    # The idle arm goes to one posture whatever the noise does to it.
    left = actions[-10:, ACTION_SLICES["left_arm"]]
    assert np.ptp(left, axis=0).max() < 0.05


def test_a_can_is_lifted_by_friction_alone() -> None:
    env = environment("picking_up_trash")
    assert env.model.nmocap == 0
    assert all("finger_coupling" in env.model.equality(i).name for i in range(env.model.neq))
    env.reset(5)
    expert = create("picking_up_trash")
    expert.reset(env)
    heights = []
    for _ in range(130):
        env.step(expert.act(env))
        heights.append(max(env.data.body(f"can_{index}").xpos[2] for index in (1, 2, 3)))
    assert max(heights) > 0.3


def test_noise_obeys_its_gain_and_scale() -> None:
    middle = (ACTION_LOWER + ACTION_UPPER) / 2
    silent, off = NoisyExecution(1), NoisyExecution(1, scale=0.0)
    np.testing.assert_array_equal(silent(middle, 0.0), middle)
    np.testing.assert_array_equal(off(middle, 1.0), middle)
    noisy = NoisyExecution(1)
    changes = np.stack([noisy(middle, 1.0) - middle for _ in range(200)])
    assert changes[:, ACTION_SLICES["left_arm"]].std() > 0.005
    assert np.abs(changes[:, ACTION_SLICES["trunk"]]).max() == 0.0
    assert np.abs(changes[:, ACTION_SLICES["left_gripper"]]).max() == 0.0


def test_unknown_tasks_are_refused_by_name() -> None:
    with pytest.raises(SimulationError, match="picking_up_trash"):
        create("picking_up_trsh")


def test_acting_before_reset_is_refused() -> None:
    with pytest.raises(SimulationError, match="reset"):
        create("turning_on_radio").act(environment("turning_on_radio"))


def test_hand_rotation_points_the_fingers() -> None:
    rotation = hand_rotation(np.pi / 2, np.deg2rad(30))
    np.testing.assert_allclose(rotation[:, 0], [0.0, np.cos(np.pi / 6), -0.5], atol=1e-12)
    np.testing.assert_allclose(rotation[:, 1], [-1.0, 0.0, 0.0], atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1.0)


def test_standing_pose_sees_the_point_where_it_should() -> None:
    pose = standing_pose(np.array([2.0, 1.0, 0.5]), np.pi / 2, ahead=0.6, left=0.2)
    np.testing.assert_allclose(pose, [2.2, 0.4, np.pi / 2], atol=1e-12)


def test_blending_is_the_goal_near_and_the_pose_far() -> None:
    goal = np.array([1.0, 0.0, 0.0])
    np.testing.assert_allclose(blend_towards(np.array([1.1, 0.0, 0.0]), goal, 0.35), goal)
    far = np.array([-1.0, 0.5, 0.3])
    np.testing.assert_allclose(blend_towards(far, goal, 0.35), far)


@pytest.mark.parametrize("angle", [-3.0, -1.6, 0.0, 1.2, 4.0])
def test_an_axis_angle_keeps_its_direction(angle: float) -> None:
    wrapped = wrap_half_turn(angle)
    assert -np.pi / 2 <= wrapped < np.pi / 2
    assert np.sin(wrapped - angle) == pytest.approx(0.0, abs=1e-12)
