from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hearth.model.noise import correlated_noise
from hearth.model.policy_network import PolicyNetwork, Prefix
from hearth.model.presets import ModelConfig
from hearth.model.sampling import (
    Inpainting,
    constrain,
    is_constrained,
    propagation_matrix,
    sample_actions,
)

KEY = jax.random.key(7)


class StraightFlow:
    """Stands in for a network whose velocity leads from any noise straight to `target`."""

    def __init__(self, config: ModelConfig, target: jax.Array | None) -> None:
        self.config = config
        self.target = target

    def encode(self, observation: Any) -> Prefix:
        return Prefix([], jnp.zeros((observation["state"].shape[0], 15)))

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
    size = (config.horizon, config.action_width)
    return correlated_noise(KEY, (4,), jnp.asarray(cholesky), *size)


def test_euler_steps_reach_the_target(
    config: ModelConfig, batch: dict[str, Any], cholesky: np.ndarray
) -> None:
    target = jnp.asarray(batch["actions"])
    flow: Any = StraightFlow(config, target)
    for steps in (1, 10):
        actions, _ = sample_actions(flow, batch, KEY, jnp.asarray(cholesky), steps)
        np.testing.assert_allclose(actions, target, atol=1e-4)


def test_same_key_same_actions(
    config: ModelConfig, network: PolicyNetwork, batch: dict[str, Any], cholesky: np.ndarray
) -> None:
    sample = jax.jit(lambda key: sample_actions(network, batch, key, jnp.asarray(cholesky), 4))
    actions, logits = sample(KEY)
    assert actions.shape == (4, config.horizon, config.action_width)
    assert actions.dtype == jnp.float32 and logits.shape == (4, 15)
    np.testing.assert_array_equal(actions, sample(KEY)[0])
    assert np.abs(np.asarray(actions - sample(jax.random.key(8))[0])).max() > 1e-2


@pytest.mark.parametrize(("steps", "constrained"), [(10, 7), (20, 14), (1, 0), (2, 1), (15, 10)])
def test_held_for_the_first_seventy_percent(steps: int, constrained: int) -> None:
    assert sum(bool(is_constrained(taken, steps)) for taken in range(1, steps + 1)) == constrained


def test_propagation_is_the_conditional_expectation(cholesky: np.ndarray) -> None:
    covariance = cholesky.astype(np.float64) @ cholesky.T
    held = 8
    expected = covariance[held:, :held] @ np.linalg.inv(covariance[:held, :held])
    matrix = propagation_matrix(jnp.asarray(cholesky), held)
    np.testing.assert_allclose(matrix, expected, atol=1e-5)


def test_constraint_at_the_end_of_the_flow_sets_the_targets(
    config: ModelConfig, batch: dict[str, Any], cholesky: np.ndarray
) -> None:
    inpainting = targets_for(batch, 2)
    chunk = jnp.asarray(batch["actions"])
    matrix = propagation_matrix(jnp.asarray(cholesky), 2 * config.action_width)
    held = constrain(chunk, noise_of(config, cholesky), 0.0, inpainting, matrix)
    np.testing.assert_allclose(held[:, :2], inpainting.targets, atol=1e-6)


def test_identity_correlation_leaves_free_actions_alone(
    config: ModelConfig, batch: dict[str, Any]
) -> None:
    identity = jnp.eye(config.horizon * config.action_width)
    matrix = propagation_matrix(identity, 2 * config.action_width)
    chunk = jnp.asarray(batch["actions"])
    held = constrain(chunk, chunk, 0.4, targets_for(batch, 2), matrix)
    np.testing.assert_array_equal(held[:, 2:], chunk[:, 2:])
    assert np.any(held[:, :2] != chunk[:, :2])


def test_correlation_moves_the_neighbours_along(config: ModelConfig, cholesky: np.ndarray) -> None:
    width = config.action_width
    matrix = propagation_matrix(jnp.asarray(cholesky), 2 * width)
    chunk = jnp.zeros((1, config.horizon, width))
    inpainting = Inpainting(jnp.full((1, 2, width), 0.5), jnp.ones(1, dtype=bool))
    held = np.asarray(constrain(chunk, chunk, 0.0, inpainting, matrix))[0]
    # The test's covariance decays by 0.8 per time step.
    np.testing.assert_allclose(held[2:, 0], 0.5 * 0.8 ** np.arange(1, 4), atol=1e-4)


def test_large_propagation_is_left_out_per_sample(
    config: ModelConfig, cholesky: np.ndarray
) -> None:
    width = config.action_width
    matrix = propagation_matrix(jnp.asarray(cholesky), 2 * width)
    chunk = jnp.zeros((2, config.horizon, width))
    targets = jnp.stack([jnp.full((2, width), 0.5), jnp.full((2, width), 5.0)])
    inpainting = Inpainting(targets, jnp.ones(2, dtype=bool))
    held = np.asarray(constrain(chunk, chunk, 0.0, inpainting, matrix))
    np.testing.assert_allclose(held[:, :2], targets, atol=1e-6)
    assert np.all(held[0, 2:] > 0.1)
    assert not held[1, 2:].any()


def test_samples_without_targets_flow_freely(
    network: PolicyNetwork, batch: dict[str, Any], cholesky: np.ndarray
) -> None:
    factor = jnp.asarray(cholesky)
    inpainting = targets_for(batch, 2)
    some = inpainting._replace(mask=jnp.asarray([True, False, True, False]))
    free, _ = sample_actions(network, batch, KEY, factor, 5)
    mixed, _ = sample_actions(network, batch, KEY, factor, 5, some)
    np.testing.assert_allclose(mixed[1::2], free[1::2], atol=1e-5)
    assert np.abs(np.asarray(mixed[::2] - free[::2])).max(axis=(1, 2)).min() > 1e-3


def test_held_actions_follow_their_path_until_released(
    config: ModelConfig, batch: dict[str, Any], cholesky: np.ndarray
) -> None:
    """Without any velocity the held actions stay where the last constraint put them: t = 0.3."""
    inpainting = targets_for(batch, 2)
    flow: Any = StraightFlow(config, None)
    actions, _ = sample_actions(flow, batch, KEY, jnp.asarray(cholesky), 10, inpainting)
    noise = noise_of(config, cholesky)
    expected = 0.7 * inpainting.targets + 0.3 * noise[:, :2]
    np.testing.assert_allclose(actions[:, :2], expected, atol=1e-5)


def test_no_kept_actions_is_no_inpainting(
    network: PolicyNetwork, batch: dict[str, Any], cholesky: np.ndarray
) -> None:
    factor = jnp.asarray(cholesky)
    free, _ = sample_actions(network, batch, KEY, factor, 3)
    none, _ = sample_actions(network, batch, KEY, factor, 3, targets_for(batch, 0))
    np.testing.assert_array_equal(none, free)
