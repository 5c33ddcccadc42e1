from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tests.unit.model.conftest import QUICKLY_COMPILED

from hearth.model.action_expert import Context
from hearth.model.configuration import ModelConfig
from hearth.model.inpainting import Inpainting, InpaintingRules
from hearth.model.noise import flow_noise
from hearth.model.policy_network import PolicyNetwork, Prefix
from hearth.model.sampling import sample_actions, trace_flow

KEYS = jax.random.split(jax.random.key(7), 4)


class StraightFlow:
    """Stands in for a network whose velocity leads from any noise straight to `target`."""

    def __init__(self, config: ModelConfig, target: jax.Array | None) -> None:
        self.config = config
        self.target = target

    def encode(self, observation: Any) -> Prefix:
        nothing = jnp.zeros(0)
        logits = jnp.zeros((observation["state"].shape[0], 15))
        return Prefix(Context(nothing, nothing, None, nothing), logits, None)

    def velocity(self, noisy: jax.Array, time: jax.Array, prefix: Prefix) -> jax.Array:
        del prefix
        if self.target is None:
            return jnp.zeros_like(noisy)
        return (noisy - self.target[:, None]) / time[..., None, None]


def targets_for(batch: dict[str, Any], kept: int, scale: float = 0.1) -> Inpainting:
    random = np.random.default_rng(3)
    values = scale * random.standard_normal((4, kept, batch["actions"].shape[-1]), np.float32)
    return Inpainting(jnp.asarray(values), jnp.ones(4, dtype=bool))


def noise_of(config: ModelConfig, cholesky: np.ndarray) -> jax.Array:
    return jax.vmap(lambda key: flow_noise(key, (), jnp.asarray(cholesky), config))(KEYS)


@pytest.fixture(scope="module")
def sample(network: PolicyNetwork, cholesky: np.ndarray) -> Any:
    """`sample_actions` in four steps, compiled once per shape."""
    factor = jnp.asarray(cholesky)
    return jax.jit(
        lambda batch, keys, inpainting=None: sample_actions(
            network, batch, keys, factor, 4, inpainting
        ),
        compiler_options=QUICKLY_COMPILED,
    )


def test_euler_steps_reach_the_target(
    config: ModelConfig, batch: dict[str, Any], cholesky: np.ndarray
) -> None:
    target = jnp.asarray(batch["actions"])
    flow: Any = StraightFlow(config, target)
    for steps in (1, 10):
        actions, _ = sample_actions(flow, batch, KEYS, jnp.asarray(cholesky), steps)
        np.testing.assert_allclose(actions, target, atol=1e-4)


def test_same_keys_same_actions(config: ModelConfig, sample: Any, batch: dict[str, Any]) -> None:
    actions, logits = sample(batch, KEYS)
    assert actions.shape == (4, config.horizon, config.action_width)
    assert actions.dtype == jnp.float32 and logits.shape == (4, 15)
    np.testing.assert_array_equal(actions, sample(batch, KEYS)[0])
    other = sample(batch, KEYS[::-1])[0]
    assert np.abs(np.asarray(actions - other)).max(axis=(1, 2)).min() > 1e-2


def test_a_batch_gives_what_its_samples_give_alone(sample: Any, batch: dict[str, Any]) -> None:
    together, logits = sample(batch, KEYS)
    for index in range(4):
        one = jax.tree.map(lambda leaf, i=index: leaf[i : i + 1], batch)
        alone, own_logits = sample(one, KEYS[index : index + 1])
        np.testing.assert_allclose(alone[0], together[index], atol=1e-5)
        np.testing.assert_allclose(own_logits[0], logits[index], atol=1e-5)


def test_samples_without_targets_flow_freely(sample: Any, batch: dict[str, Any]) -> None:
    some = targets_for(batch, 2)._replace(mask=jnp.asarray([True, False, True, False]))
    free, _ = sample(batch, KEYS)
    mixed, _ = sample(batch, KEYS, some)
    np.testing.assert_allclose(mixed[1::2], free[1::2], atol=1e-5)
    assert np.abs(np.asarray(mixed[::2] - free[::2])).max(axis=(1, 2)).min() > 1e-3


@pytest.mark.parametrize(("threshold", "last_time"), [("steps", 0.3), ("time", 0.4)])
def test_held_actions_follow_their_path_until_released(
    config: ModelConfig,
    batch: dict[str, Any],
    cholesky: np.ndarray,
    threshold: Any,
    last_time: float,
) -> None:
    """Without any velocity the held actions stay where the last constraint put them."""
    inpainting = targets_for(batch, 2)
    flow: Any = StraightFlow(config, None)
    rules = InpaintingRules(threshold=threshold)
    actions, _ = sample_actions(flow, batch, KEYS, jnp.asarray(cholesky), 10, inpainting, rules)
    noise = noise_of(config, cholesky)
    expected = (1.0 - last_time) * inpainting.targets + last_time * noise[:, :2]
    np.testing.assert_allclose(actions[:, :2], expected, atol=1e-5)


def test_no_kept_actions_is_no_inpainting(sample: Any, batch: dict[str, Any]) -> None:
    free, _ = sample(batch, KEYS)
    none, _ = sample(batch, KEYS, targets_for(batch, 0))
    np.testing.assert_array_equal(none, free)


def test_a_trace_ends_at_the_sample(
    config: ModelConfig, network: PolicyNetwork, sample: Any, batch: dict[str, Any],
    cholesky: np.ndarray,
) -> None:  # fmt: skip
    inpainting = targets_for(batch, 2)
    noise = noise_of(config, cholesky)
    trace = jax.jit(
        lambda: trace_flow(
            network, network.encode(batch), noise, jnp.asarray(cholesky), 4, inpainting
        ),
        compiler_options=QUICKLY_COMPILED,
    )()
    assert trace.points.shape == (4, *noise.shape) == trace.velocities.shape
    np.testing.assert_allclose(trace.points[-1], sample(batch, KEYS, inpainting)[0], atol=1e-5)
    # The second half of the steps is free.
    np.testing.assert_allclose(
        trace.points[3], trace.points[2] - 0.25 * trace.velocities[3], atol=1e-5
    )


def test_padding_flows_along_but_is_no_action(
    config: ModelConfig, batch: dict[str, Any], cholesky: np.ndarray
) -> None:
    padded = dataclasses.replace(config, padded_action_loss=True)
    flow: Any = StraightFlow(padded, None)
    actions, _ = sample_actions(flow, batch, KEYS, jnp.asarray(cholesky), 2)
    np.testing.assert_array_equal(actions, noise_of(padded, cholesky)[..., :4])
