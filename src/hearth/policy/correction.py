"""The gripper rule (report, 7.4.1): a gripper closed where the demonstrations never close it."""

from __future__ import annotations

import numpy as np

from hearth.data.statistics import GRIPPER_CLOSED

OPEN = 1.0  # of a gripper's command and state; -1: closed on nothing


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
    return (state[list(grippers)] < GRIPPER_CLOSED) & ~closed_in_demonstrations


def correct(
    chunk: np.ndarray, state: np.ndarray, failed: np.ndarray, grippers: tuple[int, ...]
) -> np.ndarray:
    """Absolute chunk (T, D) -> the current state throughout with the failed hands opened.

    The chunk is returned as it is when no hand failed.
    """
    if not failed.any():
        return chunk
    held = np.broadcast_to(state, chunk.shape).astype(chunk.dtype)
    for hand, dimension in enumerate(grippers):
        if failed[hand]:
            held[:, dimension] = OPEN
    return held
