from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from hearth.model.action_expert import ActionExpert
from hearth.model.presets import ModelConfig


def flow(config: ModelConfig, size: int, samples: int) -> tuple[jax.Array, jax.Array]:
    noisy_key, time_key = jax.random.split(jax.random.key(0))
    shape = (size, samples, config.horizon, config.action_width)
    return jax.random.normal(noisy_key, shape), jax.random.uniform(time_key, shape[:2])


def test_samples_share_the_prefix_and_nothing_else(
    config: ModelConfig, encode: Any, velocity: Any, batch: dict[str, Any]
) -> None:
    prefix = encode(batch)
    noisy, time = flow(config, 4, 3)
    together = velocity(noisy, time, prefix)
    for sample in range(3):
        chosen = slice(sample, sample + 1)
        alone = velocity(noisy[:, chosen], time[:, chosen], prefix)
        np.testing.assert_allclose(together[:, chosen], alone, atol=1e-5)


def test_velocity_depends_on_flow_time(
    config: ModelConfig, encode: Any, velocity: Any, batch: dict[str, Any]
) -> None:
    prefix = encode(batch)
    noisy, time = flow(config, 4, 1)
    early, late = (velocity(noisy, t, prefix) for t in (0.1 * time, 0.9 + 0.1 * time))
    assert float(jnp.min(jnp.max(jnp.abs(early - late), axis=(1, 2, 3)))) > 1e-3


def test_every_action_sees_every_other(
    config: ModelConfig, encode: Any, velocity: Any, batch: dict[str, Any]
) -> None:
    prefix = encode(batch)
    noisy, time = flow(config, 4, 1)
    before = velocity(noisy, time, prefix)
    for changed in (0, config.horizon - 1):
        after = velocity(noisy.at[:, :, changed].add(1.0), time, prefix)
        assert float(jnp.min(jnp.max(jnp.abs(after - before), axis=(0, 1, 3)))) > 1e-4


def test_layers_start_open(config: ModelConfig, encode: Any, batch: dict[str, Any]) -> None:
    """At the start the prefix already reaches the velocity, so the first gradients teach vision."""
    expert = jax.jit(ActionExpert(config, nnx.Rngs(0)))
    noisy, time = flow(config, 4, 2)
    layers = encode(batch).layers
    doubled = [(2.0 * keys, 2.0 * values) for keys, values in layers]
    difference = expert(noisy, time, layers) - expert(noisy, time, doubled)
    assert float(abs(difference).max()) > 1e-3
