"""Positions of prefix and action tokens, for the rotary embeddings."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp

SuffixPositions = Literal["valid", "static"]


def prefix_positions(valid: jax.Array | None, length: int) -> jax.Array:
    """int32[B or 1, S]: every valid token is one further than the valid token before it.

    Args:
        valid: bool[B, S], or None where all are valid.
        length: S.
    """
    if valid is None:
        return jnp.arange(length, dtype=jnp.int32)[None]
    return jnp.cumsum(valid, axis=1, dtype=jnp.int32) - 1


def suffix_start(
    valid: jax.Array | None, length: int, choice: SuffixPositions, training: bool
) -> jax.Array:
    """int32[B or 1]: the position of the first action token.

    `valid` continues the valid tokens of the prefix. `static` does so at inference alone and
    continues all tokens in training, as the public implementation does.

    Args:
        valid: bool[B, S] without FAST tokens, or None where all are valid.
        length: S without FAST tokens.
    """
    if valid is None or (choice == "static" and training):
        return jnp.full((1,), length, dtype=jnp.int32)
    return jnp.sum(valid, axis=1, dtype=jnp.int32)
