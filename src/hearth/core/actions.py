"""Delta actions (report, section 4.5): joints relative to the state at the start of the chunk."""

from __future__ import annotations

import numpy as np


def to_delta(chunk: np.ndarray, state: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Absolute chunk (..., H, D) and state (..., D) -> delta chunk; `mask` (D,) marks deltas."""
    return chunk - np.where(mask, state, 0.0)[..., None, :]


def to_absolute(chunk: np.ndarray, state: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The inverse of `to_delta`."""
    return chunk + np.where(mask, state, 0.0)[..., None, :]
