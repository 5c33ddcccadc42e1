"""Skills shared by the experts: drive and reach, grasp, carry, place, release.

Each skill is a generator of actions (see :mod:`expert`) that starts from the present intent and
leaves the body where the next skill can go on. Targets are functions, read anew at every step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from hearth.simulation.household.control import HandTarget
from hearth.simulation.household.experts.expert import Expert

Point = Callable[[], np.ndarray]

# Knees folded, chest leaning forward: both hands reach the floor half a metre ahead.
LOW_TRUNK = np.array([1.45, -2.35, -1.75, 0.0])
LOW_ARMS = {
    "left": np.array([0.30, 0.25, 0.0, -2.05, 0.0, 0.0, 0.0]),
    "right": np.array([-0.90, -0.10, 0.0, -0.80, 0.0, 0.0, 0.0]),
}
UP = np.array([0.0, 0.0, 1.0])
_GRIP_STEPS = 8
_RELEASE_STEPS = 7


def aim(
    expert: Expert,
    side: str,
    point: Point,
    rotation: np.ndarray | Callable[[], np.ndarray],
    lead: float | None = None,
    orientation_cost: tuple[float, float, float] = (1.5, 1.5, 1.5),
) -> None:
    """Give one hand a target whose position (and rotation, if callable) is read at every step."""

    def target() -> HandTarget:
        turned = rotation() if callable(rotation) else rotation
        return HandTarget(point(), turned, lead, orientation_cost)

    expert.intent.hands[side] = target


def arrive(
    expert: Expert,
    side: str,
    base_tolerance: float = 0.05,
    hand_tolerance: float = 0.04,
    limit: int = 150,
) -> Iterator[np.ndarray]:
    """Drive to the base goal while the hand moves to its target; ends when both are there."""
    yield from expert.move(
        lambda: expert.base_error() < base_tolerance and expert.hand_error(side) < hand_tolerance,
        limit,
    )


def close_gripper(expert: Expert, side: str, opening: float = -1.0) -> Iterator[np.ndarray]:
    """Close one gripper where it is, until its fingers stop or the time is over."""
    expert.intent.grippers[side] = opening
    yield from expert.hold(_GRIP_STEPS)


def release(expert: Expert, side: str) -> Iterator[np.ndarray]:
    """Open one gripper and wait until what it held is free."""
    expert.intent.grippers[side] = 1.0
    yield from expert.hold(_RELEASE_STEPS)


def holds(expert: Expert, side: str, point: np.ndarray, radius: float = 0.07) -> bool:
    """Whether the gripper is stopped by something and ``point`` lies between its fingers."""
    position, _ = expert.robot.hand_pose(expert.scene.data, side)
    near = float(np.linalg.norm(position - point)) < radius
    return near and expert.robot.gripper(expert.scene.data, side) > -0.93


def pick(
    expert: Expert,
    side: str,
    grasp: Point,
    rotation: np.ndarray,
    hover: float = 0.12,
    lift: float = 0.10,
) -> Iterator[np.ndarray]:
    """Reach for a thing along the fingers, grasp it, lift it; drives to the base goal meanwhile.

    Args:
        grasp: where the hand's frame shall be when the fingers close, world frame [m].
        hover: distance from the grasp at which the straight approach begins [m].
        lift: height of the straight lift after the grasp [m].
    """
    expert.precise = False
    expert.intent.grippers[side] = 1.0
    aim(expert, side, lambda: grasp() - hover * rotation[:, 0], rotation)
    yield from arrive(expert, side, hand_tolerance=0.05)
    expert.precise = True
    aim(expert, side, grasp, rotation, lead=0.03)
    yield from arrive(expert, side, base_tolerance=0.02, hand_tolerance=0.015, limit=45)
    yield from close_gripper(expert, side)
    yield from shift(expert, side, lift * UP)
    expert.precise = False


def put(
    expert: Expert,
    side: str,
    place: np.ndarray,
    rotation: np.ndarray,
    above: float = 0.08,
    back: float = 0.12,
) -> Iterator[np.ndarray]:
    """Carry what the hand holds to ``place`` (of the hand's frame), set it down, draw back."""
    expert.precise = False
    aim(expert, side, lambda: place + above * UP, rotation)
    yield from arrive(expert, side, hand_tolerance=0.03)
    expert.precise = True
    aim(expert, side, lambda: place, rotation, lead=0.025)
    yield from arrive(expert, side, base_tolerance=0.02, hand_tolerance=0.012, limit=40)
    yield from release(expert, side)
    yield from shift(expert, side, -back * rotation[:, 0])
    expert.precise = False


def shift(expert: Expert, side: str, way: np.ndarray, limit: int = 25) -> Iterator[np.ndarray]:
    """Move one hand straight by ``way`` [m] in the world, keeping its target's orientation."""
    position, _ = expert.robot.hand_pose(expert.scene.data, side)
    rotation = expert.intent.hands[side]().rotation
    goal = position + way
    aim(expert, side, lambda: goal, rotation, lead=0.035)
    yield from expert.move(lambda: expert.hand_error(side) < 0.025, limit)


def go_home(expert: Expert, side: str) -> None:
    """Let one hand return to its home posture with the gripper open."""
    expert.intent.hands.pop(side, None)
    expert.intent.grippers[side] = 1.0
