"""Scripted experts: one file per task, built from shared closed-loop skills."""

from __future__ import annotations

from hearth.core.errors import SimulationError, choices
from hearth.simulation.household.experts.bringing_in_wood import BringingInWood
from hearth.simulation.household.experts.bringing_water import BringingWater
from hearth.simulation.household.experts.expert import Expert
from hearth.simulation.household.experts.moving_boxes_to_storage import MovingBoxesToStorage
from hearth.simulation.household.experts.noise import NoisyExecution
from hearth.simulation.household.experts.picking_up_trash import PickingUpTrash
from hearth.simulation.household.experts.tidying_bedroom import TidyingBedroom
from hearth.simulation.household.experts.turning_on_radio import TurningOnRadio

__all__ = ["EXPERTS", "Expert", "NoisyExecution", "create"]

EXPERTS: dict[str, type[Expert]] = {
    expert.task: expert
    for expert in (
        TurningOnRadio,
        PickingUpTrash,
        TidyingBedroom,
        BringingWater,
        MovingBoxesToStorage,
        BringingInWood,
    )
}


def create(task: str) -> Expert:
    """A new expert for a task of the embedded benchmark.

    Raises:
        SimulationError: no expert knows this task; the message lists the valid ones.
    """
    if task not in EXPERTS:
        raise SimulationError(f"no scripted expert for task '{task}': {choices(task, EXPERTS)}")
    return EXPERTS[task]()
