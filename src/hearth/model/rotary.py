"""Rotary position embeddings (Su et al., 2021), in Gemma's layout: halves, not pairs."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

_LONGEST_WAVELENGTH = 10_000  # positions per radian of the slowest dimension, as in Gemma


def angles(positions: jax.Array, length: int, head_width: int) -> tuple[jax.Array, jax.Array]:
    """Sine and cosine float32[..., T, 1, d/2] of int[..., T] positions below `length`."""
    # From a table: the compiler would turn a division by constants into a product with rounded
    # reciprocals, which at positions in the hundreds is off by several roundings.
    table = jnp.asarray(radians(length, head_width))
    chosen = jnp.take(table, positions, axis=0, mode="clip")[..., None, :]
    return jnp.sin(chosen), jnp.cos(chosen)


def radians(length: int, head_width: int) -> np.ndarray:
    """float32[length, d/2]: the angle of every position, from fast to slow dimensions."""
    exponent = np.arange(0, head_width, 2) / head_width
    wavelength = (float(_LONGEST_WAVELENGTH) ** exponent).astype(np.float32)
    return np.arange(length, dtype=np.float32)[:, None] / wavelength[None]


def rotate(x: jax.Array, sine_and_cosine: tuple[jax.Array, jax.Array]) -> jax.Array:
    """Turn [..., T, h, d] by its tokens' angles; computed in float32."""
    sine, cosine = sine_and_cosine
    first, second = jnp.split(x.astype(jnp.float32), 2, axis=-1)
    turned = [first * cosine - second * sine, second * cosine + first * sine]
    return jnp.concatenate(turned, axis=-1).astype(x.dtype)
