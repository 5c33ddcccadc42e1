"""The hierarchical attention mask (report, 4.4): which token sees which.

Images and task come straight from the observation; stage and state can be wrong or drift, so the
first block never sees the second, and the stage logits cannot leak their own target. FAST tokens
are causal, and the action expert never reads them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from hearth.core.attention_mask import AttentionMask, TokenGroup
from hearth.model.configuration import ModelConfig

FUSION_TOKENS = 4
_RELIABLE_BLOCK = 0  # images and the base task token
_FUSED_BLOCK = 1  # stage-task tokens and state tokens
_FIRST_FAST_BLOCK = 2  # each FAST token is a block of its own


def prefix_blocks(config: ModelConfig, fast_length: int = 0) -> list[int]:
    """The block of every prefix token in token order, `fast_length` FAST tokens at the end."""
    fused = (FUSION_TOKENS if config.stage_input else 0) + config.state_token_count
    reliable = config.image_tokens + 1
    causal = list(range(_FIRST_FAST_BLOCK, _FIRST_FAST_BLOCK + fast_length))
    return [_RELIABLE_BLOCK] * reliable + [_FUSED_BLOCK] * fused + causal


def block_mask(blocks: Sequence[int]) -> np.ndarray:
    """bool[S, S], True where the query (row) sees the key (column): its own block or one before."""
    order = np.asarray(blocks)
    return order[:, None] >= order[None, :]


def training_mask(config: ModelConfig, fast_length: int = 0) -> AttentionMask:
    """Who sees whom in training, prefix and actions together (report, figure 4).

    Args:
        fast_length: FAST tokens of the longest chunk; 0 where the network has none.
    """
    groups = [
        TokenGroup("images", config.image_tokens),
        TokenGroup("task", 1),
        TokenGroup("stage", FUSION_TOKENS if config.stage_input else 0),
        TokenGroup("state", config.state_token_count),
        TokenGroup("FAST", fast_length),
        TokenGroup("actions", config.horizon),
    ]
    prefix = block_mask(prefix_blocks(config, fast_length))
    mask = np.pad(prefix, (0, config.horizon))
    # The prefix never reads actions; actions read each other and the prefix without FAST tokens.
    mask[len(prefix) :] = True
    mask[len(prefix) :, len(prefix) - fast_length : len(prefix)] = False
    return AttentionMask.of([group for group in groups if group.tokens], mask)


def valid_tokens(
    config: ModelConfig,
    image_mask: Mapping[str, jax.Array] | None,
    fast_mask: jax.Array | None,
) -> jax.Array | None:
    """bool[B, S]: False for the tokens of masked cameras and for FAST padding.

    Args:
        image_mask: {camera: bool[B]}, False where a camera's image is missing; None: all there.
            Cameras it does not name are there.
        fast_mask: bool[B, L] of the FAST tokens that the network reads; None: no FAST tokens.

    Returns:
        None where every token of every sample is valid.
    """
    if image_mask is None and fast_mask is None:
        return None
    given = [] if image_mask is None else list(image_mask.values())
    batch = (given[0] if fast_mask is None else fast_mask).shape[0]
    everywhere = jnp.ones((batch, 1), dtype=bool)
    parts = []
    for camera in config.cameras:
        present = (image_mask or {}).get(camera)
        present = everywhere if present is None else jnp.asarray(present, bool)[:, None]
        parts.append(jnp.broadcast_to(present, (batch, config.tokens_per_camera)))
    others = len(prefix_blocks(config)) - config.image_tokens
    parts.append(jnp.broadcast_to(everywhere, (batch, others)))
    if fast_mask is not None:
        parts.append(fast_mask)
    return jnp.concatenate(parts, axis=1)


def attention_mask(blocks: Sequence[int], valid: jax.Array | None) -> jax.Array:
    """bool[B or 1, S, S]: a valid query sees the valid keys of its block and those before."""
    mask = jnp.asarray(block_mask(blocks))[None]
    if valid is None:
        return mask
    return mask & valid[:, :, None] & valid[:, None, :]
