"""Action compression (report, 7.2): predicted actions resampled to fewer executed steps."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.interpolate import make_interp_spline


def executed_steps(predicted: int, compression: float) -> int:
    """Steps in which `predicted` actions are executed, e.g. 26 in 20 at a compression of 1.3."""
    return max(1, round(predicted / compression))


def gripper_spans(actions: np.ndarray, grippers: tuple[int, ...]) -> np.ndarray:
    """Largest minus smallest planned value per gripper: actions (T, D) -> (hands,)."""
    return np.ptp(actions[:, list(grippers)], axis=0)


def gripper_moves(actions: np.ndarray, grippers: tuple[int, ...], span: float | None) -> bool:
    """Whether a gripper is about to grasp or let go: its plan (T, D) spans more than `span`.

    None: however far it moves, it does not count.
    """
    return span is not None and bool((gripper_spans(actions, grippers) > span).any())


def resample(actions: np.ndarray, length: int) -> np.ndarray:
    """Cubic-spline resampling (T, D) -> (length, D), not-a-knot; both end points are kept.

    Chunks of fewer than four actions take the highest degree they allow.
    """
    if length == len(actions):
        return actions.copy()
    return _resampling(len(actions), length) @ actions


@lru_cache(maxsize=64)
def _resampling(count: int, length: int) -> np.ndarray:
    """float64[length, count]: a spline is linear in its points, so resampling is one matrix."""
    if count == 1:
        return np.ones((length, 1))
    spline = make_interp_spline(np.arange(count), np.eye(count), k=min(3, count - 1))
    matrix = np.asarray(spline(np.linspace(0, count - 1, length)))
    matrix.setflags(write=False)
    return matrix


def compress(
    actions: np.ndarray, length: int, base_velocity: slice, *, scale_base_velocity: bool = True
) -> np.ndarray:
    """Absolute actions (T, D) -> (length, D), executed T / length times as fast.

    Base velocities grow by the same factor, so that the base covers the same way in fewer steps.
    """
    faster = resample(actions, length)
    if scale_base_velocity:
        faster[:, base_velocity] *= len(actions) / length
    return faster
