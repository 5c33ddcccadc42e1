"""Training losses: flow matching with several samples per prefix pass, FAST, and stages.

Shape letters: B batch, N flow samples, H horizon, D action width, F flow width, L FAST tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from hearth.model.configuration import ModelConfig
from hearth.model.fast_tokens import FastTargets, targets_of
from hearth.model.noise import flow_noise, flow_times
from hearth.model.policy_network import PolicyNetwork, Prefix


class FlowDraws(NamedTuple):
    """`noise` float32[B, N, H, F] and `time` float32[B, N] of the flow samples."""

    noise: jax.Array
    time: jax.Array


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
            `action_mask` bool[B, H], True where the demonstration has the action; with FAST also
            `fast_tokens` int32[B, L] and `fast_token_mask` bool[B, L].
        key: key of the flow times and the noise.
        cholesky: float32[H*D, H*D], factor of the noise covariance.
        config: the network's configuration.

    Returns:
        Scalars `total`, `action`, `stage`, `stage_accuracy`, `action_<group>` per action group,
        and with FAST `fast` and `fast_accuracy`.
    """
    size = batch["actions"].shape[0]
    return losses_of_draws(network, batch, draw_flow(key, size, cholesky, config), config)


def draw_flow(key: jax.Array, batch: int, cholesky: jax.Array, config: ModelConfig) -> FlowDraws:
    """Times and noise, drawn for every flow sample of every batch element."""
    time_key, noise_key = jax.random.split(key)
    leading = (batch, config.flow_samples)
    return FlowDraws(
        flow_noise(noise_key, leading, cholesky, config), flow_times(time_key, leading)
    )


def losses_of_draws(
    network: PolicyNetwork, batch: Mapping[str, Any], draws: FlowDraws, config: ModelConfig
) -> dict[str, jax.Array]:
    """`compute_losses` with the random draws given."""
    prefix = network.encode(batch, training=True)
    errors = flow_errors(network, prefix, batch["actions"], draws, config)
    per_dimension = masked_mean(errors, batch["action_mask"])
    action = jnp.mean(per_dimension)
    stage = stage_loss(prefix.stage_logits, batch["stage"])
    losses = {
        "action": action,
        "stage": stage,
        "stage_accuracy": stage_accuracy(prefix.stage_logits, batch["stage"]),
        **group_means(per_dimension, config.action_groups),
    }
    total = action + config.stage_loss_weight * stage
    if prefix.fast_logits is not None:
        targets = targets_of(batch)
        losses["fast"] = jnp.mean(fast_loss(prefix.fast_logits, targets))
        losses["fast_accuracy"] = jnp.mean(fast_accuracy(prefix.fast_logits, targets))
        total = total + config.fast_loss_weight * losses["fast"]
    return {"total": total, **losses}


def flow_errors(
    network: PolicyNetwork,
    prefix: Prefix,
    actions: jax.Array,
    draws: FlowDraws,
    config: ModelConfig,
) -> jax.Array:
    """Squared errors of the predicted velocity, float32[B, H, F], mean over the flow samples."""
    target = pad_actions(actions, config.flow_width)[:, None]
    noisy = interpolate(draws.noise, target, draws.time)
    velocity = network.velocity(noisy, draws.time, prefix)
    return jnp.mean(jnp.square(velocity - (draws.noise - target)), axis=1)


def pad_actions(actions: jax.Array, width: int) -> jax.Array:
    """[..., D] -> [..., width], zeros in the padding dimensions."""
    padding = [(0, 0)] * (actions.ndim - 1) + [(0, width - actions.shape[-1])]
    return jnp.pad(actions, padding)


def interpolate(noise: jax.Array, actions: jax.Array, time: jax.Array) -> jax.Array:
    """Equation 11: t * noise + (1 - t) * actions, with `time` over the leading axes."""
    time = time[..., None, None]
    return time * noise + (1.0 - time) * actions


def masked_mean(errors: jax.Array, mask: jax.Array) -> jax.Array:
    """Mean of [B, H, D] over the actions that `mask` [B, H] keeps -> [D]; 0 if it keeps none."""
    weights = mask.astype(jnp.float32)
    return jnp.einsum("bhd,bh->d", errors, weights) / jnp.maximum(jnp.sum(weights), 1.0)


def group_means(
    per_dimension: jax.Array, groups: tuple[tuple[str, int, int], ...]
) -> dict[str, jax.Array]:
    """`action_<group>`: the mean of [F] over each group's (name, start, stop)."""
    return {f"action_{name}": jnp.mean(per_dimension[start:stop]) for name, start, stop in groups}


def stage_loss(logits: jax.Array, stage: jax.Array) -> jax.Array:
    """Mean cross-entropy of int32[B] stages under logits [B, stages]."""
    return jnp.mean(_cross_entropy(logits, stage))


def stage_accuracy(logits: jax.Array, stage: jax.Array) -> jax.Array:
    """Fraction of int32[B] stages that have the highest of their logits [B, stages]."""
    return jnp.mean((jnp.argmax(logits, axis=-1) == stage).astype(jnp.float32))


def fast_loss(logits: jax.Array, targets: FastTargets) -> jax.Array:
    """Cross-entropy of each sample's FAST tokens, mean over its valid ones -> [B]."""
    return _mean_of_valid(_cross_entropy(logits, targets.tokens), targets.mask)


def fast_accuracy(logits: jax.Array, targets: FastTargets) -> jax.Array:
    """Fraction of each sample's valid FAST tokens with the highest logit -> [B]."""
    correct = jnp.argmax(logits, axis=-1) == targets.tokens
    return _mean_of_valid(correct.astype(jnp.float32), targets.mask)


def _cross_entropy(logits: jax.Array, target: jax.Array) -> jax.Array:
    chosen = jax.nn.one_hot(target, logits.shape[-1], dtype=logits.dtype)
    return -jnp.sum(jax.nn.log_softmax(logits, axis=-1) * chosen, axis=-1)


def _mean_of_valid(values: jax.Array, mask: jax.Array) -> jax.Array:
    weights = mask.astype(jnp.float32)
    return jnp.sum(values * weights, axis=-1) / jnp.maximum(jnp.sum(weights, axis=-1), 1.0)
