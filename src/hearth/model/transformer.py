"""Parts shared by the prefix transformer and the action expert, and the prefix layer itself.

Shape letters: B batch, T queries, S keys, W width, h heads, d head width.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx

from hearth.model.linear import Linear, gelu, product
from hearth.model.presets import ModelConfig

_EPSILON = 1e-6


class SelfAttention(nnx.Module):
    """Projections of multi-head attention, with queries, keys and values in one product."""

    def __init__(self, config: ModelConfig, rngs: nnx.Rngs) -> None:
        self.heads = config.heads
        self.head_width = config.head_width
        inner = config.heads * config.head_width
        self.project_in = Linear(config.width, 3 * inner, use_bias=False, rngs=rngs)
        self.project_out = Linear(inner, config.width, use_bias=False, rngs=rngs)

    def project(
        self, x: jax.Array, rows: slice | None = None
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """[B, T, W] -> queries of `rows` (all when None), keys and values of all, [B, T, h, d]."""
        inner = self.heads * self.head_width
        if rows is None:
            queries, keys, values = jnp.split(self.project_in(x), 3, axis=-1)
        else:
            kernel = self.project_in.kernel[...]
            queries = product(x[:, rows], kernel[:, :inner])
            keys, values = jnp.split(product(x, kernel[:, inner:]), 2, axis=-1)
        split = (self.heads, self.head_width)
        return tuple(y.reshape(*y.shape[:-1], *split) for y in (queries, keys, values))  # type: ignore[return-value]

    def combine(self, attended: jax.Array) -> jax.Array:
        """[B, T, h, d] -> [B, T, W]."""
        return self.project_out(attended.reshape(*attended.shape[:-2], -1))


class FeedForward(nnx.Module):
    """Two-layer perceptron with GELU."""

    def __init__(self, config: ModelConfig, rngs: nnx.Rngs) -> None:
        self.project_in = Linear(config.width, config.mlp_width, use_bias=False, rngs=rngs)
        self.project_out = Linear(config.mlp_width, config.width, use_bias=False, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.project_out(gelu(self.project_in(x)))


class Norm(nnx.Module):
    """Root-mean-square norm with a learned scale."""

    def __init__(self, width: int) -> None:
        self.scale = nnx.Param(jnp.ones(width, jnp.float32))

    def __call__(self, x: jax.Array) -> jax.Array:
        return normalise(x) * jnp.expand_dims(self.scale[...], tuple(range(x.ndim - 1)))


class PrefixLayer(nnx.Module):
    """A pre-norm transformer layer that also hands out its keys and values."""

    def __init__(self, config: ModelConfig, rngs: nnx.Rngs) -> None:
        self.attention_norm = Norm(config.width)
        self.attention = SelfAttention(config, rngs)
        self.feed_forward_norm = Norm(config.width)
        self.feed_forward = FeedForward(config, rngs)

    def __call__(
        self, x: jax.Array, mask: jax.Array, rows: slice | None = None
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Tokens [B, S, W], additive mask [S, S] -> tokens of `rows`, keys and values of all.

        The last layer needs no more than the rows that something reads: the action expert reads
        keys and values, which come from the layer's input.
        """
        queries, keys, values = self.attention.project(self.attention_norm(x), rows)
        if rows is not None:
            x, mask = x[:, rows], mask[rows]
        x = x + self.attention.combine(attend(queries, keys, values, mask))
        x = x + self.feed_forward(self.feed_forward_norm(x))
        return x, keys, values


def normalise(x: jax.Array) -> jax.Array:
    """Divide by the root mean square over the last axis."""
    return x * jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True) + _EPSILON)


def attend(
    queries: jax.Array, keys: jax.Array, values: jax.Array, mask: jax.Array | None = None
) -> jax.Array:
    """Scaled dot-product attention; additive `mask` [T, S].

    [B, T, h, d], [B, S, h, d], [B, S, h, d] -> [B, T, h, d].
    """
    scale = queries.shape[-1] ** -0.5
    logits = jnp.einsum("bthd,bshd->bhts", queries * scale, keys)
    if mask is not None:
        logits = logits + mask[None, None]
    return jnp.einsum("bhts,bshd->bthd", jax.nn.softmax(logits, axis=-1), values)
