"""Carrying things with one hand: take, carry and set down by the thing's measured pose."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator

import numpy as np

from hearth.simulation.household.control import HandTarget
from hearth.simulation.household.experts import skills
from hearth.simulation.household.experts.expert import Expert

Point = Callable[[], np.ndarray]

# A hand this far beside its goal waits at full height; below the first it goes straight down [m].
_ALIGNED_M, _ASTRAY_M = 0.006, 0.022
# Above the grip or the place before the hand is lowered; how much higher the open hand passes [m].
HOVER_M = 0.11
_PASSING_M = 0.10
_LEAD_M = 0.04
_BASE_NEAR, _HAND_NEAR = 0.07, 0.05
# The base creeps while what it carries is this far below its safe height [m].
_CREEP_M = 0.15
# What is set down counts as standing when it is this near to its place's height [m].
_STANDING_M = 0.006


def above(goal: np.ndarray, present: np.ndarray, height: float) -> np.ndarray:
    """A goal ``[3]`` raised by up to ``height`` [m] while ``present`` is not above it.

    What is lowered towards it comes down in a funnel: nothing is touched from the side, however
    the base still moves.
    """
    aside = float(np.hypot(*(present - goal)[:2]))
    share = np.clip((aside - _ALIGNED_M) / (_ASTRAY_M - _ALIGNED_M), 0.0, 1.0)
    return goal + np.array([0.0, 0.0, height * share])


def take(
    expert: Expert, side: str, grip: Point, rotation: Point, lift: float = 0.06
) -> Iterator[np.ndarray]:
    """Drive to the base goal, lower the open hand around the grip from above, close, lift.

    Args:
        grip: where the hand's frame shall be when the fingers close, world frame [m].
        rotation: the hand's orientation ``[3, 3]`` there.
    """

    def hand() -> np.ndarray:
        return expert.robot.hand_pose(expert.scene.data, side)[0]

    def over() -> np.ndarray:
        aside = float(np.hypot(*(hand() - grip())[:2]))
        higher = _PASSING_M * np.clip((aside - 0.04) / 0.12, 0.0, 1.0)
        return grip() + (HOVER_M + higher) * skills.UP

    expert.precise = False
    expert.intent.base_pace = 1.0
    expert.intent.grippers[side] = 1.0
    skills.aim(expert, side, over, rotation)
    yield from skills.arrive(expert, side, _BASE_NEAR, _HAND_NEAR)
    expert.precise = True
    skills.aim(expert, side, lambda: above(grip(), hand(), HOVER_M), rotation, lead=_LEAD_M)
    yield from expert.move(lambda: float(np.linalg.norm(hand() - grip())) < 0.012, 50)
    yield from skills.close_gripper(expert, side)
    yield from move_hand(expert, side, lift * skills.UP)


def carry(
    expert: Expert,
    side: str,
    thing: Point,
    goal: np.ndarray,
    rotation: np.ndarray,
    held: Callable[[], bool],
    safe_height: float,
) -> Generator[np.ndarray, None, bool]:
    """Carry ``thing`` to ``goal`` while the base drives; returns whether it is still held there.

    The base drives slowly while the thing is below ``safe_height`` [m].
    """
    expert.precise = False
    aim_thing(expert, side, thing, lambda: goal, rotation)
    for _ in range(150):
        lacking = float(safe_height - thing()[2])
        expert.intent.base_pace = float(np.clip(1.0 - lacking / _CREEP_M, 0.1, 1.0))
        yield expert.command()
        if not held():
            return False
        if expert.base_error() < _BASE_NEAR and expert.hand_error(side) < _HAND_NEAR:
            break
    expert.intent.base_pace = 1.0
    return True


def set_down(
    expert: Expert,
    side: str,
    thing: Point,
    place: np.ndarray,
    rotation: np.ndarray,
    retreat: np.ndarray,
) -> Iterator[np.ndarray]:
    """Lower ``thing`` onto ``place`` [m], let go, and draw the hand back by ``retreat`` [m]."""
    expert.precise = True
    below = place - 0.02 * skills.UP
    aim_thing(expert, side, thing, lambda: above(below, thing(), HOVER_M), rotation, lead=_LEAD_M)
    yield from expert.move(lambda: bool(thing()[2] < place[2] + _STANDING_M), 50)
    yield from skills.release(expert, side)
    yield from move_hand(expert, side, retreat)


def aim_thing(
    expert: Expert,
    side: str,
    thing: Point,
    goal: Point,
    rotation: np.ndarray,
    lead: float | None = None,
) -> None:
    """Move the hand so that the held ``thing`` comes to ``goal`` [m, world frame].

    The thing's measured place in the hand enters at every step: a grasp off the middle, or one
    that slips, still puts the thing where it belongs.
    """

    def target() -> HandTarget:
        position, present = expert.robot.hand_pose(expert.scene.data, side)
        in_hand = present.T @ (thing() - position)
        return HandTarget(goal() - rotation @ in_hand, rotation, lead)

    expert.intent.hands[side] = target


def move_hand(
    expert: Expert, side: str, way: np.ndarray, lead: float = 0.06, limit: int = 20
) -> Iterator[np.ndarray]:
    """Move one hand by ``way`` ``[3]`` [m] from where it is, without turning it."""
    position, rotation = expert.robot.hand_pose(expert.scene.data, side)
    goal = position + way
    expert.intent.hands[side] = lambda: HandTarget(goal, rotation, lead)
    yield from expert.move(lambda: expert.hand_error(side) < 0.02, limit)
