"""Corrections of a failed grasp: the general gripper rule (report, 7.4.1) and what follows from it.

A hand that is closed on nothing has its fingers fully together: its state is below `CLOSED`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hearth.benchmark.benchmark import Benchmark
from hearth.policy.checks import OTHER_TASKS, check_closures

CLOSED = -0.98  # of a gripper's state in [-1, 1]: nothing between the fingers
OPEN_FROM = 0.90  # above it a gripper counts as open; in between it holds something
OPEN = 1.0  # the command that opens a gripper fully


@dataclass(frozen=True)
class Correction:
    """What a rule decides.

    Attributes:
        opened: bool[hands], the hands to open, left before right.
        stage: the stage to continue in.
    """

    opened: np.ndarray
    stage: int


def closed_hands(state: np.ndarray, grippers: tuple[int, ...]) -> np.ndarray:
    """bool[hands]: fully closed, from state float[D]."""
    return state[list(grippers)] < CLOSED


def holding_hands(state: np.ndarray, grippers: tuple[int, ...]) -> np.ndarray:
    """bool[hands]: half-open, neither closed nor open, as when something is between the fingers."""
    openings = state[list(grippers)]
    return (openings >= CLOSED) & (openings <= OPEN_FROM)


def failed_grasps(
    state: np.ndarray, closed_in_demonstrations: np.ndarray, grippers: tuple[int, ...]
) -> np.ndarray:
    """Which hands closed on empty air.

    Args:
        state: float[D], the robot's state.
        closed_in_demonstrations: bool[hands], closed somewhere at this task and stage.
        grippers: state indices of the hands' grippers.

    Returns:
        bool[hands].
    """
    return closed_hands(state, grippers) & ~closed_in_demonstrations


def correct(
    chunk: np.ndarray, state: np.ndarray, opened: np.ndarray, grippers: tuple[int, ...]
) -> np.ndarray:
    """Absolute chunk (T, D) -> the current state throughout, with the `opened` hands open.

    The chunk is returned as it is when no hand opens.
    """
    if not opened.any():
        return chunk
    held = np.broadcast_to(state, chunk.shape).astype(chunk.dtype)
    held[:, [d for d, opens in zip(grippers, opened, strict=True) if opens]] = OPEN
    return held


def closure_table(
    demonstrated: np.ndarray,
    given: Mapping[str, tuple[int | None, ...]],
    benchmark: Benchmark,
) -> np.ndarray:
    """Where a closed hand is no failure: the demonstrations' table with given entries in place.

    Args:
        demonstrated: bool[task_count, stages, hands], closed somewhere in the demonstrations.
        given: per task name and hand the first stage where it may be closed, None for never;
            `OTHER_TASKS` stands for every task that has no entry of its own.
        benchmark: its task names.

    Returns:
        bool[task_count, stages, hands], a new array.

    Raises:
        SettingsError: as `check_closures`.
    """
    check_closures(given, benchmark)
    table = np.array(demonstrated, dtype=bool)
    stages = np.arange(table.shape[1])
    for task in benchmark.tasks:
        first_stages = given.get(task.name, given.get(OTHER_TASKS))
        if first_stages is not None:
            for hand, first in enumerate(first_stages):
                table[task.index, :, hand] = False if first is None else stages >= first
    return table
