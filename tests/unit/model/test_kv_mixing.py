from __future__ import annotations

import dataclasses

import jax
import numpy as np
from flax import nnx

from hearth.model.kv_mixing import KVMixing, mix
from hearth.model.presets import ModelConfig


def random_layers(config: ModelConfig, count: int) -> list[tuple[jax.Array, jax.Array]]:
    keys = jax.random.split(jax.random.key(0), 2 * count)
    shape = (2, 7, config.heads, config.head_width)
    return [
        (jax.random.normal(keys[2 * i], shape), jax.random.normal(keys[2 * i + 1], shape))
        for i in range(count)
    ]


def test_starts_as_the_identity(config: ModelConfig) -> None:
    layers = random_layers(config, config.prefix_layers)
    for mixed, original in zip(KVMixing(config)(layers), layers, strict=True):
        np.testing.assert_array_equal(mixed[0], original[0])
        np.testing.assert_array_equal(mixed[1], original[1])


def test_equation_two(config: ModelConfig) -> None:
    layers = [keys for keys, _ in random_layers(config, 3)]
    weights = jax.random.normal(jax.random.key(1), (2, 3))
    bias = jax.random.normal(jax.random.key(2), (2, config.heads, config.head_width))
    mixed = mix(layers, weights, bias)
    for j in range(2):
        expected = np.einsum("i,ibshd->bshd", weights[j], np.stack(layers)) + np.asarray(bias[j])
        np.testing.assert_allclose(mixed[j], expected, atol=1e-5)


def test_keys_and_values_have_their_own_parameters(config: ModelConfig) -> None:
    mixing = KVMixing(dataclasses.replace(config, expert_layers=1))
    mixing.key_weights[...] = 2.0 * mixing.key_weights[...]
    layers = random_layers(config, config.prefix_layers)
    ((keys, values),) = mixing(layers)
    np.testing.assert_allclose(keys, 2.0 * layers[0][0])
    np.testing.assert_array_equal(values, layers[0][1])
    # Training donates its buffers, which no two parameters may share.
    leaves = jax.tree.leaves(nnx.state(mixing))
    assert len({leaf.unsafe_buffer_pointer() for leaf in leaves}) == len(leaves)
