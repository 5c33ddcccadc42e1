"""The hierarchical attention mask of the prefix (report, 4.4)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# Images and task come straight from the observation; stage and state can be wrong or drift, so
# the first block never sees the second, and the stage logits cannot leak their own target.
RELIABLE_BLOCK = 0  # images and the base task token
FUSED_BLOCK = 1  # stage-task fusion tokens and the state token


def block_mask(blocks: Sequence[int]) -> np.ndarray:
    """bool[S, S], True where the query (row) sees the key (column): its own block or one before."""
    order = np.asarray(blocks)
    return order[:, None] >= order[None, :]


def additive(mask: np.ndarray) -> np.ndarray:
    """bool mask -> float32 to add to attention logits: 0 where seen, a large negative elsewhere."""
    return np.where(mask, 0.0, -1e9).astype(np.float32)
