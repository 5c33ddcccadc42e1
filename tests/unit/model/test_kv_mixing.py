from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from hearth.model.configuration import ModelConfig
from hearth.model.kv_mixing import KVMixing, mix


def random_layers(config: ModelConfig, count: int, seed: int = 0) -> jax.Array:
    shape = (count, 2, 7, config.kv_heads, config.head_width)
    return jax.random.normal(jax.random.key(seed), shape)


def test_starts_as_the_identity(config: ModelConfig) -> None:
    keys, values = (random_layers(config, config.prefix_layers, seed) for seed in (0, 1))
    mixed = KVMixing(config)(keys, values)
    np.testing.assert_array_equal(mixed[0], keys)
    np.testing.assert_array_equal(mixed[1], values)


def test_equation_two(config: ModelConfig) -> None:
    layers = random_layers(config, 3)
    weights = jax.random.normal(jax.random.key(1), (2, 3))
    bias = jax.random.normal(jax.random.key(2), (2, config.kv_heads, config.head_width))
    mixed = mix(layers, weights, bias)
    for j in range(2):
        expected = np.einsum("i,ibskd->bskd", weights[j], layers) + np.asarray(bias[j])
        np.testing.assert_allclose(mixed[j], expected, atol=1e-5)


def test_small_weights_survive_half_precision(config: ModelConfig) -> None:
    layers = random_layers(config, 2).astype(jnp.bfloat16)
    weights = jnp.asarray([[1.0, 0.001], [0.0, 1.0]])
    mixed = mix(1e3 * layers, weights, jnp.zeros((2, config.kv_heads, config.head_width)))
    assert mixed.dtype == jnp.bfloat16
    assert np.any(np.asarray(mixed[0] != 1e3 * layers[0]))


def test_keys_and_values_have_their_own_parameters(config: ModelConfig) -> None:
    mixing = KVMixing(dataclasses.replace(config, expert_layers=1))
    mixing.key_weights[...] = 2.0 * mixing.key_weights[...]
    layers = random_layers(config, config.prefix_layers)
    keys, values = mixing(layers, layers)
    np.testing.assert_allclose(keys[0], 2.0 * layers[0])
    np.testing.assert_array_equal(values[0], layers[0])
    # Training donates its buffers, which no two parameters may share.
    leaves = jax.tree.leaves(nnx.state(mixing))
    assert len({leaf.unsafe_buffer_pointer() for leaf in leaves}) == len(leaves)
