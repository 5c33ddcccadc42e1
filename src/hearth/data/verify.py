"""What an episode must satisfy before anything is learned from it."""

from __future__ import annotations

import numpy as np

from hearth.benchmark import Robot
from hearth.core.errors import DataError
from hearth.data.lerobot.tables import Table

# A command may overshoot its limit by this part of the range: teleoperated joints rest on stops.
LIMIT_TOLERANCE = 0.02
# Timestamps of long episodes are stored as float32 in some sets: 0.1 ms of rounding after an hour.
STEP_TOLERANCE_S = 1e-3


def verify_table(table: Table, robot: Robot, frames_per_second: int) -> None:
    """Check finite numbers, even time steps and action limits.

    Raises:
        DataError: naming the first violation: column, row, value and what is valid.
    """
    for name, values in (
        ("action", table.actions),
        ("observation.state", table.proprioception),
        ("timestamp", table.timestamps[:, None]),
    ):
        bad = np.argwhere(~np.isfinite(values))
        if len(bad):
            row, dimension = bad[0]
            raise DataError(
                f"{name}[{row}, {dimension}] is {values[row, dimension]}; "
                f"{len(bad)} values are not finite"
            )
    _verify_steps(table.timestamps, 1.0 / frames_per_second)
    _verify_limits(table.actions, robot)


def _verify_steps(timestamps: np.ndarray, step: float) -> None:
    steps = np.diff(timestamps)
    uneven = np.flatnonzero(np.abs(steps - step) > STEP_TOLERANCE_S)
    if len(uneven):
        row = int(uneven[0])
        raise DataError(
            f"timestamps step unevenly: {steps[row]:.6f} s from row {row} to {row + 1}, "
            f"needed is {step:.6f} s; {len(uneven)} steps are uneven"
        )


def _verify_limits(actions: np.ndarray, robot: Robot) -> None:
    slack = LIMIT_TOLERANCE * (robot.upper - robot.lower)
    outside = np.argwhere((actions < robot.lower - slack) | (actions > robot.upper + slack))
    if len(outside):
        row, dimension = outside[0]
        group = next(g for g in robot.actions if g.start <= dimension < g.stop)
        raise DataError(
            f"action[{row}, {dimension}] ({group.name}) is {actions[row, dimension]:.4f}; "
            f"limits are {robot.lower[dimension]:.4f} to {robot.upper[dimension]:.4f}; "
            f"{len(outside)} values are outside"
        )
