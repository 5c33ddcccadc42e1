"""The full-size state, from shapes alone."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AbstractMesh

from hearth.benchmark import load_benchmark
from hearth.core.sections import ModelSettings, RunSettings
from hearth.model import presets
from hearth.policy.network import NetworkDefinition
from hearth.training.cost import tree_bytes
from hearth.training.sharding import AXIS, array_sharding
from hearth.training.state import TrainState, decays, state_shapes


@pytest.fixture(scope="module")
def definition() -> NetworkDefinition:
    settings = ModelSettings(preset="pi05", state_bins="unit")
    return NetworkDefinition(presets.config(settings, load_benchmark("behavior-2025"), 224))


@pytest.fixture(scope="module")
def shapes(definition: NetworkDefinition) -> TrainState:
    return state_shapes(definition, RunSettings())


def test_frozen_parameters_have_no_moments_and_no_average(
    definition: NetworkDefinition, shapes: TrainState
) -> None:
    assert all(name.startswith("vision/") for name in shapes.frozen)
    assert not any(name.startswith("vision/") for name in shapes.parameters)
    assert shapes.frozen.keys() | shapes.parameters.keys() == definition.shapes.keys()
    assert {leaf.dtype for leaf in shapes.frozen.values()} == {jnp.dtype("bfloat16")}
    assert {leaf.dtype for leaf in shapes.parameters.values()} == {jnp.dtype("float32")}
    assert shapes.average.keys() == shapes.parameters.keys()
    # AdamW keeps two moments of each trained weight and a few counters.
    moments = tree_bytes(shapes.optimizer) - 2 * tree_bytes(shapes.parameters)
    assert 0 <= moments < 100


def test_the_policy_acts_on_the_average_and_what_is_frozen(
    definition: NetworkDefinition, shapes: TrainState
) -> None:
    assert shapes.acting.keys() == definition.shapes.keys()


def test_eight_devices_hold_an_eighth_each(shapes: TrainState) -> None:
    mesh: Any = AbstractMesh((8,), (AXIS,))
    parts = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(
            array_sharding(leaf.shape, mesh).shard_shape(leaf.shape), leaf.dtype
        ),
        shapes,
    )
    assert tree_bytes(parts) / tree_bytes(shapes) == pytest.approx(1 / 8, rel=0.01)


@pytest.mark.parametrize(
    ("name", "dimensions", "expected"),
    [
        ("backbone/layers/feed_forward/up/kernel", 3, True),
        ("task_table/vectors", 2, True),
        ("backbone/layers/attention_norm/scale", 2, False),  # stacked vectors
        ("expert/layers/attention_norm/modulation/bias", 2, False),
        ("backbone/norm/scale", 1, False),
    ],
)
def test_matrices_and_tables_decay(name: str, dimensions: int, expected: bool) -> None:
    assert decays(name, dimensions) == expected


def test_the_names_of_the_decay_rule_exist(definition: NetworkDefinition) -> None:
    vectors = {name.rsplit("/", 1)[1] for name in definition.shapes if not decays(name, 2)}
    assert {"scale", "bias"} <= vectors


def test_a_batch_divides_among_devices_and_parts() -> None:
    RunSettings(batch_size=64, devices=4, accumulation_steps=8)
    with pytest.raises(ValueError, match=r"batch_size 16 .* multiples of 32"):
        RunSettings(batch_size=16, devices=4, accumulation_steps=8)
