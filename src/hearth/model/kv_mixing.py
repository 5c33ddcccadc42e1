"""Learned mixing of the prefix layers' keys and values for the action expert (report, 4.3).

Shape letters: L prefix layers, E expert layers, B batch, S prefix tokens, k key and value heads,
d head width.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx

from hearth.model.configuration import ModelConfig

KeysAndValues = tuple[jax.Array, jax.Array]


class KVMixing(nnx.Module):
    """Each expert layer attends to its own linear combination of all prefix layers.

    Starts as the identity: expert layer j sees prefix layer j, without a bias. Keys come after
    their rotation, so the bias is not rotated.
    """

    def __init__(self, config: ModelConfig) -> None:
        layers = (config.expert_layers, config.prefix_layers)
        bias = (config.expert_layers, config.kv_heads, config.head_width)
        self.key_weights = nnx.Param(jnp.eye(*layers, dtype=jnp.float32))
        self.value_weights = nnx.Param(jnp.eye(*layers, dtype=jnp.float32))
        self.key_bias = nnx.Param(jnp.zeros(bias, jnp.float32))
        self.value_bias = nnx.Param(jnp.zeros(bias, jnp.float32))

    def __call__(self, keys: jax.Array, values: jax.Array) -> KeysAndValues:
        """Keys and values [L, B, S, k, d] -> [E, B, S, k, d] in the same type."""
        return (
            mix(keys, self.key_weights[...], self.key_bias[...]),
            mix(values, self.value_weights[...], self.value_bias[...]),
        )


def mix(layers: jax.Array, weights: jax.Array, bias: jax.Array) -> jax.Array:
    """Equations 2 and 3: sum over i of weights[j, i] * layers[i] + bias[j], for each j."""
    # In float32 throughout: learned weights stay close to the identity, which half as many bits
    # would round them back to.
    mixed = jnp.einsum("ji,i...->j...", weights, layers.astype(jnp.float32))
    return (mixed + bias[:, None, None]).astype(layers.dtype)
