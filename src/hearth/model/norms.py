"""Root-mean-square norms, plain and conditioned on flow time."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx

from hearth.model.linear import Linear

_EPSILON = 1e-6


class Norm(nnx.Module):
    """Root-mean-square norm with a learned scale, stored as its difference from one (Gemma)."""

    def __init__(self, width: int) -> None:
        self.scale = nnx.Param(jnp.zeros(width, jnp.float32))

    def __call__(self, x: jax.Array) -> jax.Array:
        scale = jnp.expand_dims(self.scale[...], tuple(range(x.ndim - 1)))
        return (normalise(x) * (1.0 + scale)).astype(x.dtype)


class AdaptiveNorm(nnx.Module):
    """Root-mean-square norm whose scale, shift and residual gate come from a condition (adaRMS).

    The linear layer starts at zero but for its bias: plain norm, gates at `gate_start`. Closed
    gates (0), as in Pi0.5, suit trained weights; with random ones nothing would teach the vision
    stem early on.
    """

    def __init__(self, width: int, gate_start: float, rngs: nnx.Rngs) -> None:
        zeros = nnx.initializers.zeros_init()
        self.modulation = Linear(width, 3 * width, kernel_init=zeros, rngs=rngs)
        start = jnp.repeat(jnp.asarray([0.0, 0.0, gate_start], jnp.float32), width)
        self.modulation.bias = nnx.Param(start)

    def __call__(self, x: jax.Array, condition: jax.Array) -> tuple[jax.Array, jax.Array]:
        """[..., T, W] and [..., W] -> normed [..., T, W] and gate [..., 1, W]."""
        modulation = self.modulation(condition)[..., None, :]
        scale, shift, gate = jnp.split(modulation, 3, axis=-1)
        normed = normalise(x) * (1.0 + scale.astype(jnp.float32)) + shift.astype(jnp.float32)
        return normed.astype(x.dtype), gate


def normalise(x: jax.Array) -> jax.Array:
    """Divide by the root mean square over the last axis, in float32."""
    x = x.astype(jnp.float32)
    return x * jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True) + _EPSILON)
