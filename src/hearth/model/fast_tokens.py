"""FAST tokens: the auxiliary task of predicting tokenised actions (report, 4.7 and appendix D).

Shape letters: B batch, L FAST tokens, V vocabulary, W width.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from hearth.core.errors import SettingsError
from hearth.model.configuration import ModelConfig
from hearth.model.embeddings import Table
from hearth.model.linear import Linear


class FastTargets(NamedTuple):
    """`tokens` int32[B, L] to predict, and `mask` bool[B, L], False at padding."""

    tokens: jax.Array
    mask: jax.Array


class FastTokens(nnx.Module):
    """Embedding and head of the FAST vocabulary, apart from the backbone's."""

    def __init__(self, config: ModelConfig, rngs: nnx.Rngs) -> None:
        self.beginning, self.padding = special_ids(config)
        rows = max(config.fast_vocabulary, self.beginning + 1, self.padding + 1)
        self.table = Table(rows, config.width, rngs)
        self.head = Linear(config.width, config.fast_vocabulary, rngs=rngs)

    def embed(self, targets: FastTargets) -> tuple[jax.Array, jax.Array]:
        """What the network reads: tokens float32[B, L, W] and mask bool[B, L]."""
        inputs, mask = shift_right(targets, self.beginning, self.padding)
        return self.table(inputs), mask


def special_ids(config: ModelConfig) -> tuple[int, int]:
    """Ids of beginning and padding: beyond the vocabulary, or both 0 as in the public code."""
    if config.fast_own_ids:
        return config.fast_vocabulary, config.fast_vocabulary + 1
    return 0, 0


def shift_right(targets: FastTargets, beginning: int, padding: int) -> tuple[jax.Array, jax.Array]:
    """Teacher forcing: each position reads the token before it, the first one `beginning`."""
    tokens = jnp.where(targets.mask, targets.tokens, padding)[:, :-1]
    return (
        jnp.pad(tokens, ((0, 0), (1, 0)), constant_values=beginning),
        jnp.pad(targets.mask[:, :-1], ((0, 0), (1, 0)), constant_values=True),
    )


def targets_of(batch: Mapping[str, Any]) -> FastTargets:
    """The FAST targets of a batch.

    Raises:
        SettingsError: the batch has none.
    """
    missing = [key for key in ("fast_tokens", "fast_token_mask") if key not in batch]
    if missing:
        raise SettingsError(
            f"model.fast_loss_weight is above 0, but the batch has no {' and no '.join(missing)}: "
            "give training a tokenizer, or set the weight to 0"
        )
    return FastTargets(
        jnp.asarray(batch["fast_tokens"]), jnp.asarray(batch["fast_token_mask"], bool)
    )
