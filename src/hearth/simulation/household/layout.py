"""What a scene is made of: floors, fixed furniture, movable things, and where the robot starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import mujoco

from hearth.simulation.household.shapes import Colour

Builder = Callable[[mujoco.MjsBody], None]


@dataclass(frozen=True)
class Floor:
    """A rectangle of floor [m]: one room of an open plan. `scope` is its name in the activity."""

    name: str
    scope: str | None
    x: tuple[float, float]
    y: tuple[float, float]
    colour: Colour


@dataclass(frozen=True)
class Thing:
    """A piece of furniture or a movable object.

    Attributes:
        scope: the object's name in the activity definition, None for what only stands around.
        position: nominal x, y and height of its base [m].
        yaw: nominal rotation about the vertical [rad].
        jitter: half ranges of an instance's x and y [m], movable things only.
        yaw_jitter: half range of an instance's yaw [rad].
        group: things of one group share one offset, as sheets do with their rack.
    """

    name: str
    build: Builder
    position: tuple[float, float, float]
    yaw: float = 0.0
    scope: str | None = None
    jitter: tuple[float, float] = (0.0, 0.0)
    yaw_jitter: float = 0.0
    group: str | None = None


@dataclass(frozen=True)
class Layout:
    """One task's scene.

    Attributes:
        fixed: furniture that never moves.
        movable: free bodies, placed anew for every instance.
        start: the robot's nominal x, y [m] and yaw [rad].
        viewer: position of the video camera and the point it looks at [m].
        reference_distance: path of base and hands [m] that counts as 1 in the normalised metric,
            where the official one takes the human's: the scripted expert's mean, measured over
            six instances without noise (bringing_water: an estimate from the distances).
        outdoor: the walls but the last are sky.
    """

    task: str
    floors: tuple[Floor, ...]
    fixed: tuple[Thing, ...]
    movable: tuple[Thing, ...]
    start: tuple[float, float, float]
    viewer: tuple[tuple[float, float, float], tuple[float, float, float]]
    reference_distance: dict[str, float]
    outdoor: bool = False

    @property
    def things(self) -> tuple[Thing, ...]:
        return self.fixed + self.movable
