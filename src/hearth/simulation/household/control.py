"""Whole-body inverse kinematics for scripted experts: hand targets in, one absolute action out.

The quadratic program (mink, solved by daqp) covers trunk and both arms, so that reaching for the
floor leans the trunk. It yields a goal posture: of all postures that meet the hand targets, the
one nearest to a preferred posture. The action then moves the measured joints a bounded step
towards it, so every command answers the present state, whatever disturbed it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import mujoco
import numpy as np

from hearth.core.imports import without
from hearth.simulation.household import robot_model as names
from hearth.simulation.household.robot import (
    ACTION_LOWER,
    ACTION_SIZE,
    ACTION_SLICES,
    ACTION_UPPER,
    HOME,
    Robot,
)
from hearth.simulation.household.robot_model import SIDES, add_robot

# mink's interface to solvers loads each one it finds, and JAX for one that is not even there.
with without("jax"):
    import mink

_POSITION_COST = 10.0
_TRUNK_COST = 1.5
_IDLE_ARM_COST = 3.0
_BUSY_ARM_COST = 0.08
_DAMPING = 1e-4
_ITERATIONS = 30
_CONVERGED_RAD = 2e-3
_NEWTON_STEP_RAD = 0.25
_ACCEPTED_ERROR_M = 0.01
_ARM_STEP = 0.065  # rad a control step
_TRUNK_STEP = 0.055
# On a straight way the commanded hand turns by this much for a metre of lead [rad / m].
_TURN_PER_LEAD = 4.0


@dataclass(frozen=True)
class HandTarget:
    """Where one hand should go.

    Attributes:
        position: ``[3]`` of the site between the fingers, world frame [m].
        rotation: ``[3, 3]``, world frame; +x along the fingers, +y the opening direction.
        lead: None moves straight in joint space; a number moves straight in space, the command
            running ahead of the hand by at most this much [m], which sets the speed.
        orientation_cost: ``[3]`` weights about the hand's own x, y, z; zero frees an axis.
    """

    position: np.ndarray
    rotation: np.ndarray
    lead: float | None = None
    orientation_cost: tuple[float, float, float] = (1.5, 1.5, 1.5)


@dataclass(frozen=True)
class BodyTarget:
    """What the whole body should do next. A hand without a target goes to its posture.

    Attributes:
        base_velocity: ``[3]`` in the robot's own frame [m/s, m/s, rad/s].
        trunk: ``[4]`` preferred trunk posture [rad].
        hands: targets by side.
        arms: ``[7]`` preferred arm postures by side [rad]; home where absent.
        grippers: openings (left, right) in [-1, 1].
    """

    base_velocity: np.ndarray = field(default_factory=lambda: np.zeros(3))
    trunk: np.ndarray = field(default_factory=lambda: HOME.trunk)
    hands: dict[str, HandTarget] = field(default_factory=dict)
    arms: dict[str, np.ndarray] = field(default_factory=dict)
    grippers: tuple[float, float] = (1.0, 1.0)


class WholeBodyControl:
    """Turns a :class:`BodyTarget` into the next 23-D action."""

    def __init__(self, robot: Robot) -> None:
        self.robot = robot
        self.model = _upper_body_model()
        self.configuration = mink.Configuration(self.model)
        self._limits: list[mink.Limit] = [mink.ConfigurationLimit(self.model)]
        order = [*names.TRUNK_JOINTS, *names.ARM_JOINTS["left"], *names.ARM_JOINTS["right"]]
        self._order = np.array([self.model.joint(name).qposadr[0] for name in order])
        self._lower, self._upper = self.model.jnt_range[self._order].T
        self._hands = {
            side: mink.FrameTask(names.HAND_SITES[side], "site", _POSITION_COST, 1.0)
            for side in SIDES
        }
        self._posture = mink.PostureTask(self.model, cost=1.0)
        self.reset()

    def reset(self) -> None:
        """Forget the last goal posture."""
        self._goal: np.ndarray | None = None

    def action(self, data: mujoco.MjData, target: BodyTarget) -> np.ndarray:
        """The next action, float64 ``[23]``, within the action limits.

        Args:
            data: simulator state, after ``mj_forward`` or a step.
            target: what to do; hand targets in the world frame.
        """
        actual = self._measured(data)
        goal = self._solve(data, target)
        joints = actual + _bounded_step(goal - actual)
        action = np.zeros(ACTION_SIZE)
        action[ACTION_SLICES["base"]] = target.base_velocity
        action[ACTION_SLICES["trunk"]] = joints[:4]
        action[ACTION_SLICES["left_arm"]] = joints[4:11]
        action[ACTION_SLICES["left_gripper"]] = target.grippers[0]
        action[ACTION_SLICES["right_arm"]] = joints[11:18]
        action[ACTION_SLICES["right_gripper"]] = target.grippers[1]
        return np.clip(action, ACTION_LOWER, ACTION_UPPER)

    def _solve(self, data: mujoco.MjData, target: BodyTarget) -> np.ndarray:
        """The goal posture ``[18]`` for trunk, left and right arm."""
        preferred = self._preferred(target)
        if not target.hands:
            self._goal = preferred
            return preferred
        self._posture.set_target(self._to_model(preferred))
        self._posture.set_cost(self._to_model(self._posture_cost(target)))
        for side, hand in target.hands.items():
            self._aim(data, side, hand)
        start = preferred if self._goal is None else self._goal
        goal, error = self._descend(start, list(target.hands))
        if error > _ACCEPTED_ERROR_M:
            # The last goal may lie in another branch of solutions; the preferred one is the anchor.
            again, again_error = self._descend(preferred, list(target.hands))
            if again_error < error:
                goal = again
        self._goal = goal
        return goal

    def _descend(self, start: np.ndarray, sides: list[str]) -> tuple[np.ndarray, float]:
        """Gauss-Newton steps from ``start`` ``[18]``; returns the posture and its error [m]."""
        self.configuration.update(self._to_model(start))
        hands = [self._hands[side] for side in sides]
        tasks: list[mink.Task] = [self._posture, *hands]
        for _ in range(_ITERATIONS):
            step = mink.solve_ik(
                self.configuration, tasks, 1.0, "daqp", damping=_DAMPING, limits=self._limits
            )
            # Long Newton steps overshoot into joint limits and never come back.
            step *= min(1.0, _NEWTON_STEP_RAD / max(float(np.abs(step).max()), 1e-9))
            self.configuration.integrate_inplace(step, 1.0)
            if np.abs(step).max() < _CONVERGED_RAD:
                break
        errors = [np.linalg.norm(hand.compute_error(self.configuration)[:3]) for hand in hands]
        joints = self.configuration.q[self._order]
        return np.clip(joints, self._lower, self._upper), float(max(errors))

    def _aim(self, data: mujoco.MjData, side: str, hand: HandTarget) -> None:
        """Set one hand's task, in the base frame, to its target or the next point on the way."""
        goal_position, goal_rotation = hand.position, hand.rotation
        if hand.lead is not None:
            position, rotation = self.robot.hand_pose(data, side)
            way = hand.position - position
            far = max(float(np.linalg.norm(way)), 1e-9)
            goal_position = position + min(1.0, hand.lead / far) * way
            turn = mink.SO3.from_matrix(rotation.T @ hand.rotation).log()
            angle = max(float(np.linalg.norm(turn)), 1e-9)
            step = mink.SO3.exp(turn * min(1.0, _TURN_PER_LEAD * hand.lead / angle))
            goal_rotation = rotation @ step.as_matrix()
        base_position = data.site_xpos[self.robot.base_site]
        base_rotation = data.site_xmat[self.robot.base_site].reshape(3, 3)
        pose = mink.SE3.from_rotation_and_translation(
            mink.SO3.from_matrix(base_rotation.T @ goal_rotation),
            base_rotation.T @ (goal_position - base_position),
        )
        self._hands[side].set_target(pose)
        self._hands[side].set_orientation_cost(hand.orientation_cost)

    def _preferred(self, target: BodyTarget) -> np.ndarray:
        """Preferred joints ``[18]``, within the limits."""
        arms = {"left": HOME.left_arm, "right": HOME.right_arm} | target.arms
        wanted = np.concatenate([target.trunk, arms["left"], arms["right"]])
        return np.clip(wanted, self._lower, self._upper)

    def _posture_cost(self, target: BodyTarget) -> np.ndarray:
        """Weights ``[18]``: stiff trunk, stiff idle arms, nearly free busy arms."""
        cost = np.full(18, _TRUNK_COST)
        for side, group in (("left", slice(4, 11)), ("right", slice(11, 18))):
            cost[group] = _BUSY_ARM_COST if side in target.hands else _IDLE_ARM_COST
        return cost

    def _measured(self, data: mujoco.MjData) -> np.ndarray:
        """Trunk, left arm and right arm joints ``[18]`` of the simulated robot [rad]."""
        robot = self.robot
        return np.concatenate(
            [
                data.qpos[robot.trunk_qpos],
                data.qpos[robot.arm_qpos["left"]],
                data.qpos[robot.arm_qpos["right"]],
            ]
        )

    def _to_model(self, values: np.ndarray) -> np.ndarray:
        """Reorder ``[18]`` from action order to the kinematic model's order."""
        ordered = np.zeros(self.model.nv)
        ordered[self._order] = values
        return ordered


def _bounded_step(way: np.ndarray) -> np.ndarray:
    """Shorten a way ``[18]`` in joint space, trunk and each arm keeping their directions."""
    step = way.copy()
    for group, most in (
        (slice(0, 4), _TRUNK_STEP),
        (slice(4, 11), _ARM_STEP),
        (slice(11, 18), _ARM_STEP),
    ):
        step[group] *= min(1.0, most / max(float(np.abs(way[group]).max()), 1e-9))
    return step


def base_velocity_towards(
    pose: np.ndarray, goal: np.ndarray, speed: float = 0.6, turn_speed: float = 0.9
) -> np.ndarray:
    """Velocity ``[3]`` in the robot's own frame that drives ``pose`` to ``goal`` (x, y, yaw).

    Proportional near the goal and limited far from it, so that it is smooth in the state.
    """
    way = 2.5 * (goal[:2] - pose[:2])
    way *= min(1.0, speed / max(float(np.linalg.norm(way)), 1e-9))
    turn = (goal[2] - pose[2] + np.pi) % (2 * np.pi) - np.pi
    cosine, sine = np.cos(pose[2]), np.sin(pose[2])
    return np.array(
        [
            cosine * way[0] + sine * way[1],
            -sine * way[0] + cosine * way[1],
            np.clip(2.5 * turn, -turn_speed, turn_speed),
        ]
    )


def _upper_body_model() -> mujoco.MjModel:
    """The robot alone, with a fixed base and fixed fingers: 18 hinges."""
    spec = mujoco.MjSpec()
    add_robot(spec)
    for actuator in list(spec.actuators):
        spec.delete(actuator)
    for equality in list(spec.equalities):
        spec.delete(equality)
    fixed = [*names.BASE_JOINTS, *names.FINGER_JOINTS["left"], *names.FINGER_JOINTS["right"]]
    for name in fixed:
        spec.delete(spec.joint(name))
    return spec.compile()
