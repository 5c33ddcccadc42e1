from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from hearth.model.losses import flow_errors, interpolate, masked_mean, stage_loss
from hearth.model.policy_network import PolicyNetwork
from hearth.model.presets import ModelConfig


def test_interpolation_ends_at_noise_and_actions() -> None:
    noise, actions = jnp.full((2, 3, 4), 5.0), jnp.full((2, 3, 4), -1.0)
    path = interpolate(noise, actions, jnp.asarray([1.0, 0.0]))
    np.testing.assert_array_equal(path[0], noise[0])
    np.testing.assert_array_equal(path[1], actions[1])


def test_masked_mean_leaves_padding_out() -> None:
    errors = np.random.default_rng(0).random((2, 3, 4), np.float32)
    mask = np.asarray([[True, True, False], [True, False, False]])
    expected = (errors[0, 0] + errors[0, 1] + errors[1, 0]) / 3
    kept = masked_mean(jnp.asarray(errors), jnp.asarray(mask))
    np.testing.assert_allclose(kept, expected, rtol=1e-6)
    assert not np.any(masked_mean(jnp.asarray(errors), jnp.zeros((2, 3), dtype=bool)))


def test_stage_loss_of_even_logits_is_the_logarithm_of_their_number() -> None:
    logits = jnp.asarray([[0.0, 0.0, 0.0, -1e9], [0.0, -1e9, -1e9, -1e9]])
    loss = stage_loss(logits, jnp.asarray([1, 0]))
    np.testing.assert_allclose(loss, 0.5 * np.log(3.0), rtol=1e-6)


def test_terms_add_up(
    network: PolicyNetwork, batch: dict[str, Any], loss_and_gradient: Callable[..., Any]
) -> None:
    parameters = nnx.state(network, nnx.Param)
    (total, losses), _ = loss_and_gradient(parameters, batch, jax.random.key(0))
    assert set(losses) == {
        "total", "action", "stage", "stage_accuracy", "action_base", "action_arm"
    }  # fmt: skip
    assert all(value.shape == () for value in losses.values())
    np.testing.assert_allclose(total, losses["action"] + 0.1 * losses["stage"], rtol=1e-6)
    # Both groups have two of the four dimensions.
    mean = 0.5 * (losses["action_base"] + losses["action_arm"])
    np.testing.assert_allclose(losses["action"], mean, rtol=1e-5)


def test_padded_actions_carry_no_error(
    config: ModelConfig,
    network: PolicyNetwork,
    batch: dict[str, Any],
    cholesky: np.ndarray,
    encode: Callable[..., Any],
    loss_and_gradient: Callable[..., Any],
) -> None:
    key = jax.random.key(0)
    batch["action_mask"][:, 2:] = False
    (_, losses), _ = loss_and_gradient(nnx.state(network, nnx.Param), batch, key)
    actions, factor = jnp.asarray(batch["actions"]), jnp.asarray(cholesky)
    errors = flow_errors(network, encode(batch), actions, key, factor, config)
    np.testing.assert_allclose(losses["action"], jnp.mean(errors[:, :2]), rtol=1e-4)


def test_gradient_reaches_every_parameter(
    network: PolicyNetwork, batch: dict[str, Any], loss_and_gradient: Callable[..., Any]
) -> None:
    parameters = nnx.state(network, nnx.Param)
    _, gradient = loss_and_gradient(parameters, batch, jax.random.key(0))
    for path, leaf in jax.tree.leaves_with_path(gradient):
        assert np.all(np.isfinite(leaf)) and np.any(leaf != 0.0), jax.tree_util.keystr(path)


def test_loss_falls_on_a_fixed_batch(
    config: ModelConfig, batch: dict[str, Any], loss_and_gradient: Callable[..., Any]
) -> None:
    parameters = nnx.state(PolicyNetwork(config, nnx.Rngs(0)), nnx.Param)
    optimizer = optax.adam(5e-3)
    update = jax.jit(optimizer.update)
    moments = optimizer.init(parameters)
    history = []
    for index in range(300):
        (_, losses), gradient = loss_and_gradient(parameters, batch, jax.random.key(index))
        updates, moments = update(gradient, moments)
        parameters = optax.apply_updates(parameters, updates)
        history.append((float(losses["action"]), float(losses["stage"])))
    first, last = np.mean(history[:20], axis=0), np.mean(history[-20:], axis=0)
    assert last[0] < 0.4 * first[0], f"action loss {first[0]:.3f} -> {last[0]:.3f}"
    assert last[1] < 0.1 * first[1], f"stage loss {first[1]:.3f} -> {last[1]:.3f}"
