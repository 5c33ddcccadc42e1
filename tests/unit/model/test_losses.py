from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from tests.unit.model.conftest import QUICKLY_COMPILED, new_network

from hearth.core.errors import SettingsError
from hearth.model.configuration import ModelConfig
from hearth.model.fast_tokens import FastTargets
from hearth.model.losses import (
    FlowDraws,
    compute_losses,
    draw_flow,
    fast_accuracy,
    fast_loss,
    flow_errors,
    group_means,
    interpolate,
    losses_of_draws,
    masked_mean,
    pad_actions,
    stage_accuracy,
    stage_loss,
)
from hearth.model.policy_network import PolicyNetwork


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


def test_groups_are_means_of_their_dimensions() -> None:
    means = group_means(jnp.arange(5.0), (("base", 0, 2), ("arm", 2, 5)))
    assert {name: float(value) for name, value in means.items()} == {
        "action_base": 0.5, "action_arm": 3.0
    }  # fmt: skip


def test_padding_of_actions_is_zero() -> None:
    np.testing.assert_array_equal(pad_actions(jnp.ones((1, 2)), 4), [[1.0, 1.0, 0.0, 0.0]])


def test_stage_loss_of_even_logits_is_the_logarithm_of_their_number() -> None:
    logits = jnp.asarray([[0.0, 0.0, 0.0, -1e9], [0.0, -1e9, -1e9, -1e9]])
    loss = stage_loss(logits, jnp.asarray([1, 0]))
    np.testing.assert_allclose(loss, 0.5 * np.log(3.0), rtol=1e-6)


def test_stage_accuracy_counts_the_highest() -> None:
    logits = jnp.asarray([[0.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
    np.testing.assert_allclose(stage_accuracy(logits, jnp.asarray([1, 0, 0])), 2 / 3)


def test_fast_loss_is_a_mean_over_valid_tokens_of_each_sample() -> None:
    logits = jnp.zeros((3, 2, 4)).at[0, 0, 1].set(100.0)
    targets = FastTargets(
        jnp.asarray([[1, 2], [0, 0], [0, 0]]),
        jnp.asarray([[True, True], [True, False], [False, False]]),
    )
    expected = [0.5 * np.log(4.0), np.log(4.0), 0.0]
    np.testing.assert_allclose(fast_loss(logits, targets), expected, rtol=1e-6)
    np.testing.assert_allclose(fast_accuracy(logits, targets), [0.5, 1.0, 0.0])


def test_terms_add_up(
    network: PolicyNetwork, batch: dict[str, Any], loss_and_gradient: Callable[..., Any]
) -> None:
    parameters = nnx.state(network, nnx.Param)
    (total, losses), _ = loss_and_gradient(parameters, batch, jax.random.key(0))
    assert set(losses) == {
        "total", "action", "stage", "stage_accuracy", "action_base", "action_arm", "fast",
        "fast_accuracy",
    }  # fmt: skip
    assert all(value.shape == () for value in losses.values())
    expected = losses["action"] + 0.1 * losses["stage"] + 0.05 * losses["fast"]
    np.testing.assert_allclose(total, expected, rtol=1e-6)
    # Both groups have two of the four dimensions.
    mean = 0.5 * (losses["action_base"] + losses["action_arm"])
    np.testing.assert_allclose(losses["action"], mean, rtol=1e-5)


def test_draws_given_are_draws_made(
    config: ModelConfig,
    network: PolicyNetwork,
    batch: dict[str, Any],
    cholesky: np.ndarray,
    loss_and_gradient: Callable[..., Any],
) -> None:
    key = jax.random.key(0)
    (total, _), _ = loss_and_gradient(nnx.state(network, nnx.Param), batch, key)
    draws = draw_flow(key, 4, jnp.asarray(cholesky), config)
    given = jax.jit(
        lambda draws: losses_of_draws(network, batch, draws, config),
        compiler_options=QUICKLY_COMPILED,
    )(draws)
    np.testing.assert_allclose(given["total"], total, rtol=1e-5)


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
    draws = draw_flow(key, 4, jnp.asarray(cholesky), config)
    errors = flow_errors(network, encode(batch), jnp.asarray(batch["actions"]), draws, config)
    np.testing.assert_allclose(losses["action"], jnp.mean(errors[:, :2]), rtol=1e-4)


def test_padding_dimensions_count_where_asked(config: ModelConfig) -> None:
    """The target of a padding dimension is its noise: a silent network errs by its square."""
    padded = dataclasses.replace(config, padded_action_loss=True)

    class Silent:
        def velocity(self, noisy: jax.Array, time: jax.Array, prefix: None) -> jax.Array:
            return jnp.zeros_like(noisy)

    noise = jax.random.normal(jax.random.key(0), (2, 3, config.horizon, 6))
    draws = FlowDraws(noise, jnp.full((2, 3), 0.5))
    actions = jnp.zeros((2, config.horizon, 4))
    silent: Any = Silent()
    errors = flow_errors(silent, None, actions, draws, padded)  # type: ignore[arg-type]
    np.testing.assert_allclose(errors, jnp.mean(jnp.square(noise), axis=1), rtol=1e-6)


def test_fast_tokens_must_be_there_where_they_count(
    config: ModelConfig, network: PolicyNetwork, batch: dict[str, Any], cholesky: np.ndarray
) -> None:
    del batch["fast_tokens"]
    with pytest.raises(SettingsError, match="no fast_tokens"):
        compute_losses(network, batch, jax.random.key(0), jnp.asarray(cholesky), config)


def test_gradient_reaches_every_parameter(
    network: PolicyNetwork, batch: dict[str, Any], loss_and_gradient: Callable[..., Any]
) -> None:
    parameters = nnx.state(network, nnx.Param)
    _, gradient = loss_and_gradient(parameters, batch, jax.random.key(0))
    for path, leaf in jax.tree.leaves_with_path(gradient):
        assert np.all(np.isfinite(leaf)) and np.any(leaf != 0.0), jax.tree_util.keystr(path)


def test_knowledge_insulation_stops_at_keys_and_values(
    config: ModelConfig, network: PolicyNetwork, batch: dict[str, Any], cholesky: np.ndarray
) -> None:
    """The action loss teaches expert and mixing alone; stage and FAST go on teaching the rest."""
    insulated = dataclasses.replace(config, knowledge_insulation=True)
    graph = nnx.graphdef(nnx.eval_shape(lambda: PolicyNetwork(insulated, nnx.Rngs(0))))

    @functools.partial(jax.jit, compiler_options=QUICKLY_COMPILED)
    def gradients(parameters: Any) -> tuple[Any, Any]:
        def loss(parameters: Any, name: str) -> jax.Array:
            merged = nnx.merge(graph, parameters)
            key = jax.random.key(0)
            return compute_losses(merged, batch, key, jnp.asarray(cholesky), insulated)[name]

        return jax.grad(loss)(parameters, "action"), jax.grad(loss)(parameters, "total")

    action, total = gradients(nnx.state(network, nnx.Param))
    for path, leaf in jax.tree.leaves_with_path(action):
        taught = path[0].key in ("expert", "kv_mixing")
        assert np.any(leaf != 0.0) == taught, jax.tree_util.keystr(path)
    assert np.any(total["backbone"]["layers"]["feed_forward"]["up"]["kernel"][...] != 0.0)


def test_loss_falls_on_a_fixed_batch(
    config: ModelConfig, batch: dict[str, Any], loss_and_gradient: Callable[..., Any]
) -> None:
    _, parameters = new_network(config)
    optimizer = optax.adam(5e-3)
    update = jax.jit(optimizer.update)
    moments = optimizer.init(parameters)
    names = ("action", "stage", "fast")
    history = []
    for index in range(300):
        (_, losses), gradient = loss_and_gradient(parameters, batch, jax.random.key(index))
        updates, moments = update(gradient, moments)
        parameters = optax.apply_updates(parameters, updates)
        history.append([float(losses[name]) for name in names])
    first, last = np.mean(history[:20], axis=0), np.mean(history[-20:], axis=0)
    for name, before, after, part in zip(names, first, last, (0.4, 0.1, 0.2), strict=True):
        assert after < part * before, f"{name} {before:.3f} -> {after:.3f}"
