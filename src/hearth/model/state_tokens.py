"""State tokens: a token per dimension of the state, by the bin its value falls into."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from hearth.model.configuration import STATE_BINS


def bin_edges(ranges: Sequence[tuple[float, float]]) -> np.ndarray:
    """float32[dimensions, 256], the lower edges of equal bins between low and high."""
    low, high = np.asarray(ranges, np.float64).T[:, :, None]
    return (low + (high - low) * np.arange(STATE_BINS) / STATE_BINS).astype(np.float32)


def discretise(state: jax.Array, ranges: Sequence[tuple[float, float]]) -> jax.Array:
    """Normalised state float32[B, D] -> int32[B, tokens] in 0..255; what lies outside is clipped.

    A dimension beyond D is padding and reads as zero.
    """
    edges = jnp.asarray(bin_edges(ranges))[None]
    missing = len(ranges) - state.shape[-1]
    state = jnp.pad(state, ((0, 0), (0, missing)))
    below = jnp.sum(state[..., None] >= edges, axis=-1, dtype=jnp.int32)
    return jnp.clip(below - 1, 0, STATE_BINS - 1)
