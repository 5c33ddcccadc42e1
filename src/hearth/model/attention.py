"""Attention with grouped key and value heads.

Shape letters: B batch, N flow samples, T queries, S keys, h query heads, k key and value heads,
g = h / k query heads per group, d head width.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

# Finite, so that a query that may see nothing sees everything alike instead of dividing by zero.
_CLOSED = -2.3819763e38


def attend(
    queries: jax.Array, keys: jax.Array, values: jax.Array, mask: jax.Array | None = None
) -> jax.Array:
    """Scaled dot-product attention.

    Args:
        queries: [B, T, h, d].
        keys, values: [B, S, k, d].
        mask: bool[B or 1, T or 1, S], True where a query sees a key; None: everywhere.

    Returns:
        [B, T, h, d]. Logits and softmax are float32.
    """
    batch, length, heads, width = queries.shape
    groups = keys.shape[2]
    grouped = (queries * width**-0.5).reshape(batch, length, groups, heads // groups, width)
    logits = _product("btkgd,bskd->bkgts", grouped, keys)
    if mask is not None:
        logits = jnp.where(mask[:, None, None], logits, _CLOSED)
    weights = jax.nn.softmax(logits, axis=-1).astype(values.dtype)
    return jnp.einsum("bkgts,bskd->btkgd", weights, values).reshape(queries.shape)


def attend_shared(
    queries: jax.Array,
    own: tuple[jax.Array, jax.Array],
    shared: tuple[jax.Array, jax.Array],
    shared_mask: jax.Array | None,
) -> jax.Array:
    """Attention of several sequences to themselves and to one sequence that they share.

    The shared keys are read where they are, not copied per sequence.

    Args:
        queries: [B, N, T, h, d].
        own: keys and values [B, N, T, k, d] of each sequence.
        shared: keys and values [B, S, k, d].
        shared_mask: bool[B, S], True where shared keys are seen; None: everywhere.

    Returns:
        [B, N, T, h, d].
    """
    *leading, heads, width = queries.shape
    groups = shared[0].shape[2]
    grouped = (queries * width**-0.5).reshape(*leading, groups, heads // groups, width)
    to_shared = _product("bntkgd,bskd->bkntgs", grouped, shared[0])
    if shared_mask is not None:
        to_shared = jnp.where(shared_mask[:, None, None, None, None], to_shared, _CLOSED)
    to_own = _product("bntkgd,bnukd->bkntgu", grouped, own[0])
    logits = jnp.concatenate([to_shared, to_own], axis=-1)
    weights = jax.nn.softmax(logits, axis=-1).astype(queries.dtype)
    on_shared, on_own = jnp.split(weights, [shared[0].shape[1]], axis=-1)
    attended = jnp.einsum("bkntgs,bskd->bntkgd", on_shared, shared[1])
    attended += jnp.einsum("bkntgu,bnukd->bntkgd", on_own, own[1])
    return attended.reshape(queries.shape)


def _product(subscripts: str, left: jax.Array, right: jax.Array) -> jax.Array:
    """An einsum that sums in float32 and keeps it."""
    return jnp.einsum(subscripts, left, right, preferred_element_type=jnp.float32)
