"""Training losses: flow matching with several samples per prefix pass, and stage prediction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from hearth.model.noise import correlated_noise, flow_times
from hearth.model.policy_network import PolicyNetwork
from hearth.model.presets import ModelConfig


def compute_losses(
    network: PolicyNetwork,
    batch: Mapping[str, Any],
    key: jax.Array,
    cholesky: jax.Array,
    config: ModelConfig,
) -> dict[str, jax.Array]:
    """Losses of a batch (report, 6.2 and 6.3); `total` is what training minimises.

    The stage that the prefix reads is the true one; at inference it comes from votes.

    Args:
        network: the network.
        batch: an observation plus `actions` float32[B, H, D] (normalised deltas) and
            `action_mask` bool[B, H], True where the demonstration has the action.
        key: key of the flow times and the noise.
        cholesky: float32[H*D, H*D], factor of the noise covariance.
        config: the network's configuration.

    Returns:
        Scalars `total`, `action`, `stage`, `stage_accuracy` and `action_<group>` per action group.
    """
    actions = batch["actions"]
    prefix = network.encode(batch)
    errors = flow_errors(network, prefix, actions, key, cholesky, config)
    per_dimension = masked_mean(errors, batch["action_mask"])
    action = jnp.mean(per_dimension)
    stage = stage_loss(prefix.stage_logits, batch["stage"])
    correct = jnp.argmax(prefix.stage_logits, axis=-1) == batch["stage"]
    groups = {
        f"action_{name}": jnp.mean(per_dimension[start:stop])
        for name, start, stop in config.action_groups
    }
    return {
        "total": action + config.stage_loss_weight * stage,
        "action": action,
        "stage": stage,
        "stage_accuracy": jnp.mean(correct.astype(jnp.float32)),
        **groups,
    }


def flow_errors(
    network: PolicyNetwork,
    prefix: Any,
    actions: jax.Array,
    key: jax.Array,
    cholesky: jax.Array,
    config: ModelConfig,
) -> jax.Array:
    """Squared errors of the predicted velocity, float32[B, H, D], mean over the flow samples."""
    leading = (actions.shape[0], config.flow_samples)
    time_key, noise_key = jax.random.split(key)
    time = flow_times(time_key, leading)
    noise = correlated_noise(noise_key, leading, cholesky, *actions.shape[1:])
    target = actions[:, None]
    noisy = interpolate(noise, target, time)
    velocity = network.velocity(noisy, time, prefix)
    return jnp.mean(jnp.square(velocity - (noise - target)), axis=1)


def interpolate(noise: jax.Array, actions: jax.Array, time: jax.Array) -> jax.Array:
    """Equation 11: t * noise + (1 - t) * actions, with `time` over the leading axes."""
    time = time[..., None, None]
    return time * noise + (1.0 - time) * actions


def masked_mean(errors: jax.Array, mask: jax.Array) -> jax.Array:
    """Mean of [B, H, D] over the actions that `mask` [B, H] keeps -> [D]; 0 if it keeps none."""
    weights = mask.astype(jnp.float32)
    return jnp.einsum("bhd,bh->d", errors, weights) / jnp.maximum(jnp.sum(weights), 1.0)


def stage_loss(logits: jax.Array, stage: jax.Array) -> jax.Array:
    """Mean cross-entropy of int32[B] stages under logits [B, stages]."""
    chosen = jax.nn.one_hot(stage, logits.shape[-1], dtype=logits.dtype)
    return -jnp.mean(jnp.sum(jax.nn.log_softmax(logits, axis=-1) * chosen, axis=-1))
