"""The tasks' layouts: what stands where, how far it may be moved, and where the robot starts.

What a task asks for is not written here: the goals come from the BEHAVIOR activity definitions
(goals.py). A layout only gives every object that a definition names a body in the scene.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import mujoco

from hearth.core.errors import SimulationError, choices
from hearth.simulation.household import furniture, objects, shapes

Builder = Callable[[mujoco.MjsBody], None]


@dataclass(frozen=True)
class Floor:
    """A rectangle of floor [m]: one room of an open plan. `scope` is its name in the activity."""

    name: str
    scope: str | None
    x: tuple[float, float]
    y: tuple[float, float]
    colour: shapes.Colour


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
        reference_distance: the scripted expert's mean path of base and hands [m]; it takes the
            place of the human distances in the official normalised metric.
    """

    task: str
    floors: tuple[Floor, ...]
    fixed: tuple[Thing, ...]
    movable: tuple[Thing, ...]
    start: tuple[float, float, float]
    viewer: tuple[tuple[float, float, float], tuple[float, float, float]]
    reference_distance: dict[str, float]

    @property
    def things(self) -> tuple[Thing, ...]:
        return self.fixed + self.movable


# Every instance moves the robot's start by up to this much: x, y [m], yaw [rad].
START_JITTER = (0.09, 0.09, 0.08)
_ROOM = 2.6
_WHOLE = (-_ROOM, _ROOM)


def layout(task: str) -> Layout:
    """The layout of a task.

    Raises:
        SimulationError: the embedded simulator has no such task; the message lists the valid ones.
    """
    if task not in LAYOUTS:
        raise SimulationError(f"no household scene for task '{task}': {choices(task, LAYOUTS)}")
    return LAYOUTS[task]


def _turning_on_radio() -> Layout:
    top = furniture.TABLE_HEIGHT_M
    return Layout(
        task="turning_on_radio",
        floors=(Floor("floor", "floor.n.01_1", _WHOLE, _WHOLE, shapes.OAK),),
        fixed=(
            Thing("table", furniture.table, (0.95, 0.0, 0.0), scope="table.n.02_1"),
            Thing("sofa", furniture.sofa, (0.2, 2.05, 0.0), 1.5708),
            Thing("plant", furniture.plant, (2.2, 1.6, 0.0)),
            Thing("lamp", furniture.lamp, (2.2, -1.2, 0.0)),
        ),
        movable=(
            Thing(
                "radio",
                objects.radio,
                (0.80, -0.15, top),
                scope="radio_receiver.n.01_1",
                jitter=(0.07, 0.20),
                yaw_jitter=0.35,
            ),
        ),
        start=(0.10, 0.0, 0.0),
        viewer=((-1.3, -1.7, 2.0), (0.6, 0.0, 0.75)),
        reference_distance={"base": 0.5, "left": 1.0, "right": 1.5},
    )


def _picking_up_trash() -> Layout:
    edge = 0.42
    cans = ((0.68, 0.34), (0.80, 0.0), (0.68, -0.30))
    return Layout(
        task="picking_up_trash",
        floors=(
            Floor("kitchen_floor", "floor.n.01_2", (-_ROOM, edge), _WHOLE, shapes.TILE),
            Floor("living_room_floor", "floor.n.01_1", (edge, _ROOM), _WHOLE, shapes.OAK),
        ),
        fixed=(
            Thing("counter", furniture.counter, (-0.6, 2.2, 0.0), 1.5708),
            Thing("sofa", furniture.sofa, (2.05, 0.3, 0.0)),
            Thing("plant", furniture.plant, (2.2, -1.4, 0.0)),
        ),
        movable=(
            Thing(
                "ashcan",
                objects.ashcan,
                (0.10, -0.70, 0.0),
                scope="ashcan.n.01_1",
                jitter=(0.10, 0.10),
                yaw_jitter=0.3,
            ),
            *(
                Thing(
                    f"can_{index}",
                    objects.can,
                    (x, y, 0.0),
                    scope=f"can__of__soda.n.01_{index}",
                    jitter=(0.10, 0.12),
                )
                for index, (x, y) in enumerate(cans, start=1)
            ),
        ),
        start=(0.0, 0.0, 0.0),
        viewer=((-1.4, -1.6, 1.9), (0.5, -0.1, 0.3)),
        reference_distance={"base": 2.0, "left": 4.0, "right": 4.0},
    )


LAYOUTS = {item.task: item for item in (_turning_on_radio(), _picking_up_trash())}
