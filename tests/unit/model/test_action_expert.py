from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from hearth.model.action_expert import ActionExpert
from hearth.model.configuration import ModelConfig


def flow(config: ModelConfig, size: int, samples: int) -> tuple[jax.Array, jax.Array]:
    noisy_key, time_key = jax.random.split(jax.random.key(0))
    shape = (size, samples, config.horizon, config.flow_width)
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


def test_gates_start_as_configured(config: ModelConfig, encode: Any, batch: dict[str, Any]) -> None:
    """Open gates let the prefix reach the velocity at once; closed ones, as in Pi0.5, do not."""
    noisy, time = flow(config, 4, 2)
    context = encode(batch).context
    doubled = context._replace(keys=2.0 * context.keys, values=2.0 * context.values)
    for start in (0.0, 1.0):
        expert = ActionExpert(dataclasses.replace(config, gate_start=start), nnx.Rngs(0))
        compiled = jax.jit(lambda context, expert=expert: expert(noisy, time, context).velocity)
        difference = float(jnp.max(jnp.abs(compiled(context) - compiled(doubled))))
        assert (difference > 1e-3) == bool(start)


def test_padding_that_is_no_part_of_the_flow_reads_as_zero(
    config: ModelConfig, encode: Any, batch: dict[str, Any]
) -> None:
    expert = jax.jit(ActionExpert(config, nnx.Rngs(0)))
    noisy, time = flow(config, 4, 2)
    context = encode(batch).context
    padded = jnp.pad(noisy, ((0, 0), (0, 0), (0, 0), (0, 2)))
    wide = expert(padded, time, context)
    narrow = expert(noisy, time, context)
    assert wide.velocity.shape[-1] == config.padded_action_width
    np.testing.assert_allclose(wide.velocity[..., :4], narrow.velocity, atol=1e-5)
    assert wide.tokens.shape == wide.output.shape == (4, 2, config.horizon, config.expert_width)
