from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hearth.model.configuration import ModelConfig
from hearth.model.positions import prefix_positions
from hearth.model.transformer import Backbone

LENGTH = 6


def inputs(config: ModelConfig) -> tuple[jax.Array, jax.Array, jax.Array]:
    tokens = jax.random.normal(jax.random.key(1), (2, LENGTH, config.width))
    mask = jnp.asarray(np.tril(np.ones((1, LENGTH, LENGTH), dtype=bool)))
    return tokens, mask, prefix_positions(None, LENGTH)


@pytest.mark.parametrize("layers", [1, 3])
def test_chosen_rows_equal_the_whole(config: ModelConfig, layers: int) -> None:
    backbone = Backbone(dataclasses.replace(config, prefix_layers=layers), nnx.Rngs(0))
    whole = backbone(*inputs(config))
    part = backbone(*inputs(config), slice(3, 5))
    np.testing.assert_allclose(part.tokens, whole.tokens[:, 3:5], atol=1e-5)
    np.testing.assert_allclose(part.keys, whole.keys, atol=1e-5)
    np.testing.assert_allclose(part.values, whole.values, atol=1e-5)
    assert whole.keys.shape == (layers, 2, LENGTH, config.kv_heads, config.head_width)


def test_loop_and_sequence_are_the_same_function(config: ModelConfig) -> None:
    outputs = [
        Backbone(dataclasses.replace(config, prefix_layers=3, scan_layers=scan), nnx.Rngs(0))(
            *inputs(config)
        )
        for scan in (False, True)
    ]
    jax.tree.map(lambda one, two: np.testing.assert_allclose(one, two, atol=1e-5), *outputs)


def test_a_masked_token_changes_nothing_before_it(config: ModelConfig) -> None:
    backbone = Backbone(config, nnx.Rngs(0))
    tokens, mask, positions = inputs(config)
    before = backbone(tokens, mask, positions).tokens
    after = backbone(tokens.at[:, 4].add(1.0), mask, positions).tokens
    np.testing.assert_allclose(after[:, :4], before[:, :4], atol=1e-6)
    assert float(jnp.min(jnp.max(jnp.abs(after - before)[:, 4:], axis=-1))) > 1e-3


def test_order_matters_through_positions_alone(config: ModelConfig) -> None:
    backbone = Backbone(config, nnx.Rngs(0))
    tokens, _, positions = inputs(config)
    everything = jnp.ones((1, LENGTH, LENGTH), dtype=bool)
    one = backbone(tokens, everything, positions).tokens
    swapped = backbone(tokens[:, ::-1], everything, positions[:, ::-1]).tokens[:, ::-1]
    np.testing.assert_allclose(swapped, one, atol=1e-4)
    reversed_order = backbone(tokens[:, ::-1], everything, positions).tokens[:, ::-1]
    assert float(jnp.max(jnp.abs(reversed_order - one))) > 1e-3


def test_half_precision_stays_close(config: ModelConfig) -> None:
    backbone = Backbone(config, nnx.Rngs(0))
    tokens, mask, positions = inputs(config)
    half = backbone(tokens.astype(jnp.bfloat16), mask, positions)
    assert half.tokens.dtype == half.keys.dtype == jnp.bfloat16
    full = backbone(tokens, mask, positions)
    np.testing.assert_allclose(half.tokens.astype(jnp.float32), full.tokens, atol=0.15)
