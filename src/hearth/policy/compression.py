"""Action compression (report, 7.2): predicted actions resampled to fewer executed steps."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import make_interp_spline

# A gripper whose planned values span more than this is about to grasp or let go.
GRIPPER_SPAN = 0.2


def consumed_actions(executed: int, compression: float) -> int:
    """Predicted actions that `executed` steps use up, e.g. 26 for 20 steps at 1.3."""
    return round(executed * compression)


def gripper_moves(actions: np.ndarray, grippers: tuple[int, ...]) -> bool:
    """Whether a gripper's planned values (T, D) span more than `GRIPPER_SPAN`."""
    return bool((np.ptp(actions[:, list(grippers)], axis=0) > GRIPPER_SPAN).any())


def resample(actions: np.ndarray, length: int) -> np.ndarray:
    """Cubic-spline resampling (T, D) -> (length, D); both end points are kept.

    Chunks of fewer than four actions take the highest degree they allow.
    """
    count = len(actions)
    if length == count:
        return actions.copy()
    if count == 1:
        return np.repeat(actions, length, axis=0)
    spline = make_interp_spline(np.arange(count), actions, k=min(3, count - 1))
    return np.asarray(spline(np.linspace(0, count - 1, length)))


def compress(actions: np.ndarray, length: int, base_velocity: slice) -> np.ndarray:
    """Absolute actions (T, D) -> (length, D), executed T / length times as fast.

    Base velocities grow by the same factor, so that the base covers the same way in fewer steps.
    """
    faster = resample(actions, length)
    faster[:, base_velocity] *= len(actions) / length
    return faster
