"""Learned tables and sine-cosine encodings."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from hearth.model.gathering import gathered


class Table(nnx.Module):
    """A table of `rows` learned vectors of `width` numbers, normal with standard deviation `scale`.

    Where vectors are added to tokens, `scale` says how much they count beside them at first.
    """

    def __init__(
        self,
        rows: int,
        width: int,
        rngs: nnx.Rngs,
        scale: float = 0.1,
        dtype: DTypeLike = jnp.float32,
    ) -> None:
        self.rows = rows
        self.vectors = nnx.Param(scale * jax.random.normal(rngs.params(), (rows, width), dtype))

    def __call__(self, index: jax.Array, rows: int | None = None) -> jax.Array:
        """int[...] in 0..rows-1 -> float32[..., width]; zeros outside.

        Only the first `rows` are looked at, if given.
        """
        rows = self.rows if rows is None else rows
        # A product with a one-hot matrix: the gradient of a gather is a slow scatter. In full
        # precision it is exact.
        chosen = jax.nn.one_hot(index, rows, dtype=self.vectors.dtype)
        vectors = gathered(self.vectors[:rows])
        return jnp.matmul(chosen, vectors, precision=jax.lax.Precision.HIGHEST)


def sine_cosine(
    position: jax.Array, width: int, shortest_period: float, longest_period: float
) -> jax.Array:
    """Encode float[...] positions as float32[..., width], periods in geometric progression."""
    fraction = jnp.linspace(0.0, 1.0, width // 2, dtype=jnp.float32)
    period = shortest_period * (longest_period / shortest_period) ** fraction
    # In this order of rounding, which trained weights have seen: phases go up to thousands.
    frequency = jnp.expand_dims(1.0 / period * 2.0 * jnp.pi, tuple(range(position.ndim)))
    phase = position.astype(jnp.float32)[..., None] * frequency
    return jnp.concatenate([jnp.sin(phase), jnp.cos(phase)], axis=-1)
