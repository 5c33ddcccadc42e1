"""Inverse kinematics: hands reach table and floor, idle joints stay, the base drives home."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth.simulation.household.control import (
    BodyTarget,
    HandTarget,
    WholeBodyControl,
    base_velocity_towards,
)
from hearth.simulation.household.experts.geometry import hand_rotation
from hearth.simulation.household.experts.skills import LOW_ARMS, LOW_TRUNK
from hearth.simulation.household.robot import (
    ACTION_LOWER,
    ACTION_SLICES,
    ACTION_UPPER,
    HOME,
    SUBSTEPS,
    Robot,
    add_robot,
)


class Stage:
    """The robot alone, standing anywhere."""

    def __init__(self) -> None:
        spec = mujoco.MjSpec()
        add_robot(spec)
        self.model = spec.compile()
        self.data = mujoco.MjData(self.model)
        self.robot = Robot(self.model)
        self.control = WholeBodyControl(self.robot)

    def start(self, base: np.ndarray) -> None:
        mujoco.mj_resetData(self.model, self.data)
        self.robot.set_joint_positions(
            self.data, base, HOME.trunk, HOME.left_arm, HOME.right_arm, HOME.grippers
        )
        mujoco.mj_forward(self.model, self.data)
        self.control.reset()

    def run(self, target: BodyTarget, steps: int) -> None:
        for _ in range(steps):
            action = self.control.action(self.data, target)
            assert (action >= ACTION_LOWER).all() and (action <= ACTION_UPPER).all()
            self.robot.apply_action(self.data, action)
            mujoco.mj_step(self.model, self.data, SUBSTEPS)
            mujoco.mj_forward(self.model, self.data)


@pytest.fixture(scope="module")
def stage() -> Stage:
    return Stage()


@pytest.mark.parametrize(
    ("point", "pitch", "low"),
    [
        ((0.65, -0.20, 0.90), 0.6, False),
        ((0.55, 0.00, 0.85), 0.5, False),
        ((0.60, -0.35, 1.10), 0.2, False),
        ((0.56, -0.32, 0.04), 1.05, True),
        ((0.50, -0.15, 0.06), 1.05, True),
    ],
    ids=["table", "table middle", "shelf", "floor", "floor near"],
)
def test_right_hand_reaches(stage: Stage, point, pitch: float, low: bool) -> None:
    stage.start(np.zeros(3))
    rotation = hand_rotation(0.0, pitch)
    target = BodyTarget(
        trunk=LOW_TRUNK if low else HOME.trunk,
        arms=dict(LOW_ARMS) if low else {},
        hands={"right": HandTarget(np.array(point), rotation)},
    )
    stage.run(target, 60)
    position, reached = stage.robot.hand_pose(stage.data, "right")
    assert np.linalg.norm(position - point) < 0.006
    assert np.arccos(np.clip((np.trace(reached.T @ rotation) - 1) / 2, -1, 1)) < 0.03


def test_both_hands_reach_at_once_from_a_turned_base(stage: Stage) -> None:
    stage.start(np.array([1.0, -0.5, np.pi / 2]))
    rotation = hand_rotation(np.pi / 2, 0.4)
    points = {"left": np.array([0.8, 0.1, 0.95]), "right": np.array([1.2, 0.1, 0.90])}
    hands = {side: HandTarget(point, rotation) for side, point in points.items()}
    stage.run(BodyTarget(hands=hands), 60)
    for side, point in points.items():
        assert np.linalg.norm(stage.robot.hand_pose(stage.data, side)[0] - point) < 0.006


def test_idle_arm_is_commanded_home(stage: Stage) -> None:
    stage.start(np.zeros(3))
    rotation = hand_rotation(0.0, 0.5)
    stage.run(BodyTarget(hands={"right": HandTarget(np.array([0.6, -0.2, 0.9]), rotation)}), 30)
    left = stage.data.qpos[stage.robot.arm_qpos["left"]]
    np.testing.assert_allclose(left, HOME.left_arm, atol=0.02)


def test_straight_motion_stays_on_its_line(stage: Stage) -> None:
    stage.start(np.zeros(3))
    rotation = hand_rotation(0.0, 0.6)
    above, below = np.array([0.60, -0.2, 1.00]), np.array([0.60, -0.2, 0.82])
    stage.run(BodyTarget(hands={"right": HandTarget(above, rotation)}), 60)
    sideways = []
    for _ in range(40):
        target = HandTarget(below, rotation, lead=0.03)
        stage.run(BodyTarget(hands={"right": target}), 1)
        position = stage.robot.hand_pose(stage.data, "right")[0]
        sideways.append(np.hypot(*(position - below)[:2]))
    # The joints' servos lag by different times, which bends the line a little.
    assert max(sideways) < 0.03
    assert position[2] == pytest.approx(0.82, abs=0.005)


def test_joint_steps_are_bounded(stage: Stage) -> None:
    stage.start(np.zeros(3))
    action = stage.control.action(stage.data, BodyTarget(trunk=LOW_TRUNK, arms=dict(LOW_ARMS)))
    step = action[ACTION_SLICES["right_arm"]] - HOME.right_arm
    assert 0.01 < np.abs(step).max() < 0.08


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(*[st.floats(-3, 3)] * 2, st.floats(-3.1, 3.1)),
    st.tuples(*[st.floats(-3, 3)] * 2, st.floats(-3.1, 3.1)),
)
def test_driving_converges_from_anywhere(start, goal) -> None:
    pose, goal = np.array(start), np.array(goal)
    for _ in range(1200):
        velocity = base_velocity_towards(pose, goal)
        assert np.hypot(*velocity[:2]) < 0.75 and abs(velocity[2]) < 1.0
        cosine, sine = np.cos(pose[2]), np.sin(pose[2])
        pose[:2] += np.array([[cosine, -sine], [sine, cosine]]) @ velocity[:2] / 30
        pose[2] += velocity[2] / 30
    assert np.hypot(*(pose - goal)[:2]) < 0.01
    assert abs((pose[2] - goal[2] + np.pi) % (2 * np.pi) - np.pi) < 0.01
