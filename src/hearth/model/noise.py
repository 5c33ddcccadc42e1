"""Random draws of flow matching: correlated noise (report, 5) and flow times (report, 6.2.1)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

# Beta(1.5, 1) * 0.999 + 0.001: never exactly zero, where there is no noise left to learn from.
_BETA = 1.5
_SMALLEST_TIME = 0.001


def correlated_noise(
    key: jax.Array, leading: tuple[int, ...], cholesky: jax.Array, horizon: int, width: int
) -> jax.Array:
    """float32[*leading, H, D] with covariance L L^T over the flat index t*D + d (equation 10).

    `cholesky` is the lower factor L, float32[H*D, H*D].
    """
    independent = jax.random.normal(key, (*leading, horizon * width), jnp.float32)
    return (independent @ cholesky.T).reshape(*leading, horizon, width)


def flow_times(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Flow times float32[shape] in [0.001, 1]; 1 is pure noise."""
    # The inverse distribution function of Beta(a, 1) is u^(1/a).
    draw = jax.random.uniform(key, shape, jnp.float32) ** (1.0 / _BETA)
    return draw * (1.0 - _SMALLEST_TIME) + _SMALLEST_TIME
