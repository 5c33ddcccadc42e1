"""Learned tables and sine-cosine encodings."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx


class Table(nnx.Module):
    """A table of `rows` learned vectors of `width` numbers, normal with standard deviation `scale`.

    Where vectors are added to tokens, `scale` says how much they count beside them at first.
    """

    def __init__(self, rows: int, width: int, rngs: nnx.Rngs, scale: float = 0.1) -> None:
        self.rows = rows
        self.vectors = nnx.Param(
            scale * jax.random.normal(rngs.params(), (rows, width), jnp.float32)
        )

    def __call__(self, index: jax.Array) -> jax.Array:
        """int[...] in 0..rows-1 -> float32[..., width]; zeros outside."""
        # A product with a one-hot matrix: on CPU the gradient of a gather is a slow scatter.
        return jax.nn.one_hot(index, self.rows, dtype=jnp.float32) @ self.vectors[...]


def sine_cosine(
    position: jax.Array, width: int, shortest_period: float, longest_period: float
) -> jax.Array:
    """Encode float[...] positions as float32[..., width], periods in geometric progression."""
    fraction = jnp.linspace(0.0, 1.0, width // 2, dtype=jnp.float32)
    period = shortest_period * (longest_period / shortest_period) ** fraction
    phase = position.astype(jnp.float32)[..., None] * jnp.expand_dims(
        2.0 * jnp.pi / period, tuple(range(position.ndim))
    )
    return jnp.concatenate([jnp.sin(phase), jnp.cos(phase)], axis=-1)
