"""The base of all scripted experts: a plan of skills, driven one control step at a time.

An expert's plan is a generator. Between two of its steps it only changes what the body should do
(:class:`Intent`); every action is computed anew from the measured state, so disturbances are
answered at once and the demonstrated action is a function of the present state and phase.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import mujoco
import numpy as np

from hearth.core.errors import SimulationError
from hearth.simulation.household.control import (
    BodyTarget,
    HandTarget,
    WholeBodyControl,
    base_velocity_towards,
)
from hearth.simulation.household.experts.geometry import Pose2, blend_towards, carried_along
from hearth.simulation.household.robot import HOME, Robot
from hearth.simulation.household.robot_model import SIDES

Actions = Iterator[np.ndarray]
Target = Callable[[], HandTarget]

_BASE_SPEED = 0.5  # m/s
_TURN_SPEED = 0.8  # rad/s
# Farther from its goal than this the base carries the hand targets along with it [m].
_BLEND_DISTANCE_M = 0.35
# Hands nearer to their target than this are disturbed less and less [m].
_NOISE_DISTANCE_M = 0.20
_NOISE_DEADBAND_M = 0.03


class SimulatedScene(Protocol):
    """What an expert reads of an environment: MuJoCo's own model and state."""

    model: mujoco.MjModel
    data: mujoco.MjData


@dataclass
class Intent:
    """What the body should do until the plan changes its mind.

    Attributes:
        base_goal: ``[3]`` x, y [m] and yaw [rad] in the world; None stands still.
        base_pace: fraction of the usual driving speed.
        trunk: ``[4]`` preferred trunk posture [rad].
        hands: a target per busy hand, read at every step.
        arms: ``[7]`` preferred posture per arm [rad]; home where absent.
        grippers: openings in [-1, 1].
    """

    base_goal: np.ndarray | None = None
    base_pace: float = 1.0
    trunk: np.ndarray = field(default_factory=lambda: HOME.trunk.copy())
    hands: dict[str, Target] = field(default_factory=dict)
    arms: dict[str, np.ndarray] = field(default_factory=dict)
    grippers: dict[str, float] = field(default_factory=lambda: dict.fromkeys(SIDES, 1.0))


class Expert:
    """One scripted expert. Subclasses write :meth:`plan`; callers use ``reset`` and ``act``.

    Attributes:
        base_noise: m/s and rad/s of noise on the base for a radian on the arms. 4 lets the base
            wander by some 5 cm, so that its commands depend on what the cameras show all along
            the way; tasks that carry things through narrow places take less.
        stage: index of the present phase of the task.
        done: the plan has ended; ``act`` then holds the last posture.
        noise_gain: in [0, 1], how much the executed action may be disturbed now.
    """

    task: ClassVar[str]
    base_noise: ClassVar[float] = 0.6

    def __init__(self) -> None:
        self.stage = 0
        self.done = False
        self.noise_gain = 0.0

    def reset(self, environment: Any) -> None:
        """Start over on a freshly reset environment (any :class:`SimulatedScene`)."""
        self.scene: SimulatedScene = environment
        self.robot = Robot(environment.model)
        self.control = WholeBodyControl(self.robot)
        self.intent = Intent()
        self.precise = False
        self.stage, self.done, self.noise_gain = 0, False, 1.0
        self._plan = self.plan()

    def act(self, environment: Any) -> np.ndarray:
        """The next clean action, float64 ``[23]``.

        Raises:
            SimulationError: ``reset`` was not called with this environment's model.
        """
        if getattr(self, "robot", None) is None or environment.model is not self.robot.model:
            raise SimulationError(f"expert for {self.task}: call reset(environment) before act")
        self.scene = environment
        if not self.done:
            action = next(self._plan, None)
            if action is not None:
                return action
            self.done = True
        return self.command()

    def plan(self) -> Actions:
        """The task's phases, yielding one action a control step."""
        raise NotImplementedError

    def command(self) -> np.ndarray:
        """One action towards the present intent; also updates ``noise_gain``."""
        data, intent = self.scene.data, self.intent
        pose = self.robot.base_pose(data)
        velocity = np.zeros(3)
        if intent.base_goal is not None:
            velocity = base_velocity_towards(
                pose,
                intent.base_goal,
                _BASE_SPEED * intent.base_pace,
                _TURN_SPEED * intent.base_pace,
            )
        targets = {side: target() for side, target in intent.hands.items()}
        self.noise_gain = 0.0 if self.precise else self._noise_gain(targets)
        if intent.base_goal is not None:
            along = blend_towards(pose, intent.base_goal, _BLEND_DISTANCE_M)
            targets = {
                side: carried_along(target, intent.base_goal, along)
                for side, target in targets.items()
            }
        return self.control.action(
            data,
            BodyTarget(
                base_velocity=velocity,
                trunk=intent.trunk,
                hands=targets,
                arms=intent.arms,
                grippers=(intent.grippers["left"], intent.grippers["right"]),
            ),
        )

    def move(self, until: Callable[[], bool], limit: int) -> Iterator[np.ndarray]:
        """Act until a condition holds, at least one and at most ``limit`` control steps."""
        for _ in range(limit):
            yield self.command()
            if until():
                return

    def hold(self, steps: int) -> Iterator[np.ndarray]:
        """Act for a fixed number of control steps."""
        for _ in range(steps):
            yield self.command()

    def base_error(self) -> float:
        """Distance to the base goal [m], a radian of heading counting 0.5 m; 0 without a goal."""
        goal = self.intent.base_goal
        if goal is None:
            return 0.0
        pose = self.robot.base_pose(self.scene.data)
        turn = (goal[2] - pose[2] + np.pi) % (2 * np.pi) - np.pi
        return float(np.hypot(*(goal[:2] - pose[:2])) + 0.5 * abs(turn))

    def hand_error(self, side: str) -> float:
        """Distance from the hand to its target [m]; infinite when it has none."""
        if side not in self.intent.hands:
            return float("inf")
        position, _ = self.robot.hand_pose(self.scene.data, side)
        return float(np.linalg.norm(position - self.intent.hands[side]().position))

    def position(self, body: str) -> np.ndarray:
        """World position ``[3]`` of a body's frame [m]."""
        return self.scene.data.body(body).xpos.copy()

    def rotation(self, body: str) -> np.ndarray:
        """World rotation ``[3, 3]`` of a body's frame."""
        return self.scene.data.body(body).xmat.reshape(3, 3).copy()

    def base_pose(self) -> Pose2:
        """``[3]``: x, y [m] and yaw [rad] of the robot's base."""
        return self.robot.base_pose(self.scene.data)

    def _noise_gain(self, targets: dict[str, HandTarget]) -> float:
        """1 far from the targets, falling to 0 where the nearest busy hand arrives."""
        distances = [
            float(np.linalg.norm(self.robot.hand_pose(self.scene.data, side)[0] - target.position))
            for side, target in targets.items()
        ]
        nearest = min(distances, default=_NOISE_DISTANCE_M + _NOISE_DEADBAND_M)
        return float(np.clip((nearest - _NOISE_DEADBAND_M) / _NOISE_DISTANCE_M, 0.0, 1.0))
