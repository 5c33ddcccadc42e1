"""Learned mixing of the prefix layers' keys and values for the action expert (report, 4.3)."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx

from hearth.model.presets import ModelConfig

KeysAndValues = tuple[jax.Array, jax.Array]


class KVMixing(nnx.Module):
    """Each expert layer attends to its own linear combination of all prefix layers.

    Starts as the identity: expert layer j sees prefix layer j, without a bias.
    """

    def __init__(self, config: ModelConfig) -> None:
        layers = (config.expert_layers, config.prefix_layers)
        bias = (config.expert_layers, config.heads, config.head_width)
        self.key_weights = nnx.Param(jnp.eye(*layers, dtype=jnp.float32))
        self.value_weights = nnx.Param(jnp.eye(*layers, dtype=jnp.float32))
        self.key_bias = nnx.Param(jnp.zeros(bias, jnp.float32))
        self.value_bias = nnx.Param(jnp.zeros(bias, jnp.float32))

    def __call__(self, layers: Sequence[KeysAndValues]) -> list[KeysAndValues]:
        """Keys and values [B, S, h, d] per prefix layer -> the same per expert layer."""
        keys = mix([keys for keys, _ in layers], self.key_weights[...], self.key_bias[...])
        values = mix(
            [values for _, values in layers], self.value_weights[...], self.value_bias[...]
        )
        return list(zip(keys, values, strict=True))


def mix(layers: Sequence[jax.Array], weights: jax.Array, bias: jax.Array) -> list[jax.Array]:
    """Equations 2 and 3: sum over i of weights[j, i] * layers[i] + bias[j], for each j."""
    return [
        sum(weights[j, i] * layer for i, layer in enumerate(layers)) + bias[j][None, None]
        for j in range(weights.shape[0])
    ]
