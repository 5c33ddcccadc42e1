"""The tasks' layouts: what stands where, how far it may be moved, and where the robot starts.

What a task asks for is not written here: the goals come from the BEHAVIOR activity definitions
(goals.py). A layout only gives every object that a definition names a body in the scene.
"""

from __future__ import annotations

from hearth.core.errors import SimulationError, choices
from hearth.simulation.household import furniture, objects, shapes
from hearth.simulation.household.layout import Floor, Layout, Thing

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
    radio = Thing(
        "radio",
        objects.radio,
        (0.80, -0.15, furniture.TABLE_HEIGHT_M),
        scope="radio_receiver.n.01_1",
        jitter=(0.10, 0.20),
        yaw_jitter=0.35,
    )
    return Layout(
        task="turning_on_radio",
        floors=(Floor("floor", "floor.n.01_1", _WHOLE, _WHOLE, shapes.PARQUET),),
        fixed=(
            Thing("table", furniture.table, (0.95, 0.0, 0.0), scope="table.n.02_1"),
            Thing("rug", furniture.rug, (0.9, 0.0, 0.0)),
            Thing("sofa", furniture.sofa, (0.2, 2.05, 0.0), 1.5708),
            Thing("plant", furniture.plant, (2.2, 1.6, 0.0)),
            Thing("lamp", furniture.lamp, (2.2, -1.2, 0.0)),
        ),
        movable=(radio,),
        start=(-0.05, 0.0, 0.0),
        viewer=((-1.3, -1.7, 2.0), (0.6, 0.0, 0.75)),
        reference_distance={"base": 0.25, "left": 0.3, "right": 0.6},
    )


def _picking_up_trash() -> Layout:
    edge = 0.55
    cans = ((0.74, 0.42), (0.86, 0.15), (0.74, -0.12))
    ashcan = Thing(
        "ashcan",
        objects.ashcan,
        (0.40, -0.72, 0.0),
        scope="ashcan.n.01_1",
        jitter=(0.10, 0.10),
        yaw_jitter=0.3,
    )
    return Layout(
        task="picking_up_trash",
        floors=(
            Floor("kitchen_floor", "floor.n.01_2", (-_ROOM, edge), _WHOLE, shapes.TILE),
            Floor("living_room_floor", "floor.n.01_1", (edge, _ROOM), _WHOLE, shapes.PARQUET),
        ),
        fixed=(
            Thing("counter", furniture.counter, (-0.6, 2.25, 0.0), 1.5708),
            Thing("sofa", furniture.sofa, (2.10, 0.3, 0.0)),
            Thing("plant", furniture.plant, (2.2, -1.4, 0.0)),
        ),
        movable=(
            ashcan,
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
        reference_distance={"base": 3.2, "left": 5.7, "right": 8.0},
    )


def _bringing_in_wood() -> Layout:
    edge, rack = 0.60, (0.80, -0.30)
    jitter = (0.10, 0.10)
    return Layout(
        task="bringing_in_wood",
        floors=(
            Floor("garden_floor", "floor.n.01_1", _WHOLE, (-_ROOM, edge), shapes.GRASS),
            Floor("corridor_floor", "floor.n.01_2", _WHOLE, (edge, _ROOM), shapes.PARQUET),
        ),
        fixed=(
            Thing("hedge", furniture.hedge, (2.3, -0.9, 0.0)),
            Thing("side_hedge", furniture.hedge, (0.9, -2.3, 0.0), 1.5708),
            Thing("plant", furniture.plant, (2.1, 0.9, 0.0)),
            Thing("shelves", furniture.shelves, (0.6, 2.38, 0.0), 1.5708),
        ),
        movable=(
            Thing("rack", objects.wood_rack, (*rack, 0.0), jitter=jitter, group="wood"),
            *(
                Thing(
                    f"plywood_{index}",
                    objects.plywood,
                    (rack[0], rack[1] + (index - 2) * objects.SHEET_SPACING_M, 0.0),
                    scope=f"plywood.n.01_{index}",
                    jitter=jitter,
                    group="wood",
                )
                for index in (1, 2, 3)
            ),
        ),
        start=(0.0, 0.0, -0.25),
        viewer=((-1.5, -1.5, 1.9), (0.5, 0.2, 0.3)),
        reference_distance={"base": 5.7, "left": 11.0, "right": 9.8},
        outdoor=True,
    )


def _moving_boxes_to_storage() -> Layout:
    edge = -0.40
    builders = (objects.tote_blue, objects.tote_yellow)
    places = ((0.25, -0.88), (0.84, -0.82))
    return Layout(
        task="moving_boxes_to_storage",
        floors=(
            Floor("living_room_floor", "floor.n.01_1", _WHOLE, (-_ROOM, edge), shapes.PARQUET),
            Floor("garage_floor", "floor.n.01_2", _WHOLE, (edge, _ROOM), shapes.CONCRETE),
        ),
        fixed=(
            Thing("shelves", furniture.shelves, (2.38, 0.9, 0.0)),
            Thing("more_shelves", furniture.shelves, (0.6, 2.38, 0.0), 1.5708),
            Thing("plant", furniture.plant, (2.2, -1.5, 0.0)),
            Thing("sofa", furniture.sofa, (0.3, -2.1, 0.0), -1.5708),
        ),
        movable=tuple(
            Thing(
                f"box_{index}",
                build,
                (*place, 0.0),
                scope=f"storage_container.n.01_{index}",
                jitter=(0.10, 0.10),
                yaw_jitter=0.25,
            )
            for index, (build, place) in enumerate(zip(builders, places, strict=True), start=1)
        ),
        start=(0.0, 0.0, -0.60),
        viewer=((-1.5, -1.35, 1.9), (0.5, -0.30, 0.3)),
        reference_distance={"base": 3.8, "left": 4.1, "right": 5.2},
    )


def _tidying_bedroom() -> Layout:
    return Layout(
        task="tidying_bedroom",
        floors=(Floor("floor", "floor.n.01_1", _WHOLE, _WHOLE, shapes.PARQUET),),
        fixed=(
            Thing("bed", furniture.bed, (1.35, 1.0, 0.0), scope="bed.n.01_1"),
            Thing("nightstand", furniture.nightstand, (0.92, -0.42, 0.0), scope="table.n.02_1"),
            Thing("lamp", furniture.lamp, (2.1, -0.5, 0.0)),
            Thing("plant", furniture.plant, (2.2, -1.7, 0.0)),
        ),
        movable=(
            Thing(
                "book",
                objects.book,
                (0.82, 0.62, furniture.BED_HEIGHT_M),
                scope="book.n.02_1",
                jitter=(0.08, 0.12),
                yaw_jitter=0.2,
            ),
            *(
                Thing(
                    f"sandal_{index}",
                    objects.sandal,
                    (x, y, 0.0),
                    scope=f"sandal.n.01_{index}",
                    jitter=(0.10, 0.10),
                    yaw_jitter=0.3,
                )
                for index, (x, y) in enumerate(((0.42, -0.62), (0.30, -0.95)), start=1)
            ),
        ),
        start=(-0.10, 0.0, 0.0),
        viewer=((-1.6, 1.5, 2.0), (0.55, 0.1, 0.35)),
        reference_distance={"base": 4.4, "left": 5.3, "right": 8.0},
    )


def _bringing_water() -> Layout:
    return Layout(
        task="bringing_water",
        floors=(Floor("floor", "floor.n.01_1", _WHOLE, _WHOLE, shapes.PARQUET),),
        fixed=(
            Thing(
                "fridge",
                furniture.fridge,
                (1.05, -0.45, 0.0),
                scope="electric_refrigerator.n.01_1",
            ),
            Thing(
                "coffee_table",
                furniture.coffee_table,
                (0.85, 0.74, 0.0),
                scope="coffee_table.n.01_1",
            ),
            Thing("counter", furniture.counter, (1.1, -2.25, 0.0), -1.5708),
            Thing("sofa", furniture.sofa, (2.10, 1.2, 0.0)),
            Thing("plant", furniture.plant, (-0.4, 2.2, 0.0)),
        ),
        movable=tuple(
            Thing(
                f"bottle_{index}",
                objects.bottle,
                (0.97, y, furniture.FRIDGE_SHELF_M),
                scope=f"bottle.n.01_{index}",
                jitter=(0.07, 0.06),
            )
            for index, y in ((1, -0.34), (2, -0.56))
        ),
        start=(-0.10, 0.0, 0.0),
        viewer=((-1.7, 1.1, 2.0), (0.7, -0.05, 0.6)),
        reference_distance={"base": 7.1, "left": 8.7, "right": 12.2},
    )


LAYOUTS = {
    item.task: item
    for item in (
        _turning_on_radio(),
        _picking_up_trash(),
        _bringing_in_wood(),
        _moving_boxes_to_storage(),
        _tidying_bedroom(),
        _bringing_water(),
    )
}
