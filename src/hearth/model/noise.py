"""Random draws of flow matching: correlated noise (report, 5) and flow times (report, 6.2.1).

Shape letters: H horizon, D action width, F flow width (D, or more with padding dimensions).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from hearth.model.configuration import ModelConfig

# Beta(1.5, 1) * 0.999 + 0.001: never exactly zero, where there is no noise left to learn from.
_BETA = 1.5
_SMALLEST_TIME = 0.001


def flow_noise(
    key: jax.Array, leading: tuple[int, ...], cholesky: jax.Array, config: ModelConfig
) -> jax.Array:
    """Where flows begin, float32[*leading, H, F].

    Args:
        cholesky: float32[H*D, H*D], used where the configuration wants correlated noise. Padding
            dimensions are independent of it and of each other.
    """
    size = (*leading, config.horizon, config.flow_width)
    independent = jax.random.normal(key, size, jnp.float32)
    return correlate(independent, cholesky) if config.correlated_noise else independent


def correlate(independent: jax.Array, cholesky: jax.Array) -> jax.Array:
    """Give standard normal [..., H, F] the covariance L L^T over the flat index t*D + d.

    `cholesky` is the lower factor L, float32[H*D, H*D] (equation 10); dimensions beyond D stay.
    """
    *leading, horizon, width = independent.shape
    correlated = len(cholesky) // horizon
    flat = independent[..., :correlated].reshape(*leading, horizon * correlated) @ cholesky.T
    real = flat.reshape(*leading, horizon, correlated)
    if correlated == width:
        return real
    return jnp.concatenate([real, independent[..., correlated:]], axis=-1)


def flow_times(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Flow times float32[shape] in [0.001, 1]; 1 is pure noise."""
    # The inverse distribution function of Beta(a, 1) is u^(1/a).
    draw = jax.random.uniform(key, shape, jnp.float32) ** (1.0 / _BETA)
    return draw * (1.0 - _SMALLEST_TIME) + _SMALLEST_TIME
