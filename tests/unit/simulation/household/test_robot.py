"""The robot: names, limits, what actions do, and the proprioception layout."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from hearth.benchmark import load_benchmark
from hearth.core.errors import SimulationError
from hearth.simulation.household import robot_model
from hearth.simulation.household.robot import (
    ACTION_LOWER,
    ACTION_SIZE,
    ACTION_SLICES,
    ACTION_UPPER,
    HOME,
    SUBSTEPS,
    Robot,
    add_robot,
)


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
    spec = mujoco.MjSpec()
    add_robot(spec)
    return spec.compile()


@pytest.fixture
def data(model: mujoco.MjModel) -> mujoco.MjData:
    data = mujoco.MjData(model)
    place(Robot(model), data, np.array([0.3, -0.2, 0.7]))
    return data


def place(robot: Robot, data: mujoco.MjData, base: np.ndarray) -> None:
    robot.set_joint_positions(data, base, HOME.trunk, HOME.left_arm, HOME.right_arm, HOME.grippers)
    mujoco.mj_forward(robot.model, data)


def home_action() -> np.ndarray:
    return np.concatenate([np.zeros(3), HOME.trunk, HOME.left_arm, [1], HOME.right_arm, [1]])


def run(robot: Robot, data: mujoco.MjData, action: np.ndarray, steps: int) -> None:
    for _ in range(steps):
        robot.apply_action(data, action)
        mujoco.mj_step(robot.model, data, SUBSTEPS)
    mujoco.mj_forward(robot.model, data)


def test_model_has_the_action_layout(model: mujoco.MjModel) -> None:
    assert model.nu == ACTION_SIZE
    assert model.ngeom <= 40
    limits = model.jnt_range[[model.joint(name).id for name in robot_model.ARM_JOINTS["right"]]]
    np.testing.assert_allclose(limits[:, 0], ACTION_LOWER[ACTION_SLICES["right_arm"]])
    np.testing.assert_allclose(limits[:, 1], ACTION_UPPER[ACTION_SLICES["right_arm"]])


def test_limits_match_the_benchmark() -> None:
    facts = load_benchmark("household").robot
    lower = np.concatenate([group.lower for group in facts.actions])
    upper = np.concatenate([group.upper for group in facts.actions])
    np.testing.assert_allclose(ACTION_LOWER, lower)
    np.testing.assert_allclose(ACTION_UPPER, upper)


def test_holds_its_posture_under_gravity(model: mujoco.MjModel, data: mujoco.MjData) -> None:
    robot = Robot(model)
    run(robot, data, home_action(), 30)
    np.testing.assert_allclose(data.qpos[robot.arm_qpos["left"]], HOME.left_arm, atol=1e-3)
    np.testing.assert_allclose(data.qpos[robot.trunk_qpos], HOME.trunk, atol=1e-3)


def test_base_velocity_is_in_the_robots_own_frame(
    model: mujoco.MjModel, data: mujoco.MjData
) -> None:
    robot = Robot(model)
    action = home_action()
    action[0] = 0.5
    run(robot, data, action, 30)
    x, y, _ = robot.base_pose(data)
    way = np.array([x - 0.3, y + 0.2])
    assert np.hypot(*way) == pytest.approx(0.5, abs=0.03)
    assert np.arctan2(way[1], way[0]) == pytest.approx(0.7, abs=0.02)
    np.testing.assert_allclose(robot.base_velocity(data), [0.5, 0.0, 0.0], atol=0.01)


def test_actions_are_clipped(model: mujoco.MjModel, data: mujoco.MjData) -> None:
    robot = Robot(model)
    robot.apply_action(data, np.full(ACTION_SIZE, 100.0))
    joints = data.ctrl[robot.actuators][3:7]
    np.testing.assert_allclose(joints, robot_model.TRUNK_UPPER)
    assert data.ctrl[robot.actuators][14] == pytest.approx(robot_model.FINGER_TRAVEL_M)


@pytest.mark.parametrize("action", [np.zeros(22), np.full(23, np.nan)])
def test_wrong_actions_are_refused(model, data, action: np.ndarray) -> None:
    with pytest.raises(SimulationError, match="23 finite numbers"):
        Robot(model).apply_action(data, action)


def test_fingers_move_together(model: mujoco.MjModel, data: mujoco.MjData) -> None:
    robot = Robot(model)
    action = home_action()
    action[ACTION_SLICES["left_gripper"]] = -1.0
    run(robot, data, action, 20)
    assert robot.gripper(data, "left") == pytest.approx(-1.0, abs=0.01)
    assert robot.gripper(data, "right") == pytest.approx(1.0, abs=0.01)
    first, second = data.qpos[robot.finger_qpos["left"]]
    assert first == pytest.approx(second, abs=1e-3)


def test_proprioception_gives_the_benchmarks_state(
    model: mujoco.MjModel, data: mujoco.MjData
) -> None:
    robot = Robot(model)
    values = robot.proprioception(data)
    assert values.shape == (256,) and values.dtype == np.float32
    slices = {group.name: group.proprioception for group in load_benchmark("household").robot.state}
    for name, expected in (
        ("base_velocity", np.zeros(3)),
        ("trunk", HOME.trunk),
        ("left_arm", HOME.left_arm),
        ("right_arm", HOME.right_arm),
        ("left_gripper", [0.05, 0.05]),
    ):
        start, stop = slices[name]
        np.testing.assert_allclose(values[start:stop], expected, atol=1e-6, err_msg=name)


def test_hand_positions_are_in_the_base_frame(model: mujoco.MjModel, data: mujoco.MjData) -> None:
    robot = Robot(model)
    before = robot.proprioception(data)
    place(robot, data, np.array([-1.0, 2.0, -1.1]))
    after = robot.proprioception(data)
    np.testing.assert_allclose(before[186:193], after[186:193], atol=1e-5)
    assert before[187] > 0.1 and before[226] < -0.1  # left hand to the left, right to the right


def test_a_model_without_the_robot_is_refused() -> None:
    with pytest.raises(SimulationError, match="base_x"):
        Robot(mujoco.MjSpec().compile())
