"""Carrying things with one hand: targets that put a held thing where it should be."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from hearth.simulation.household.control import HandTarget
from hearth.simulation.household.experts.expert import Expert

Point = Callable[[], np.ndarray]

# A hand this far beside its goal waits at full height; below the first it goes straight down [m].
_ALIGNED_M, _ASTRAY_M = 0.006, 0.022


def above(goal: np.ndarray, present: np.ndarray, height: float) -> np.ndarray:
    """A goal ``[3]`` raised by up to ``height`` [m] while ``present`` is not above it.

    What is lowered towards it comes down in a funnel: nothing is touched from the side, however
    the base still moves.
    """
    aside = float(np.hypot(*(present - goal)[:2]))
    share = np.clip((aside - _ALIGNED_M) / (_ASTRAY_M - _ALIGNED_M), 0.0, 1.0)
    return goal + np.array([0.0, 0.0, height * share])


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
