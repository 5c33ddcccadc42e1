"""Sampling of action chunks: Euler steps from correlated noise, with inpainting (report, 7.1).

Shape letters: B batch, H horizon, D action width, F flow width, K inpainted actions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from hearth.model.configuration import ModelConfig
from hearth.model.inpainting import (
    DEFAULT_RULES,
    Inpainting,
    InpaintingRules,
    constrain,
    is_above_threshold,
    is_constrained,
    propagation_matrix,
)
from hearth.model.noise import flow_noise
from hearth.model.policy_network import PolicyNetwork, Prefix


class Trace(NamedTuple):
    """Every Euler step: `points` float32[steps, B, H, F] after it, and its `velocities`."""

    points: jax.Array
    velocities: jax.Array


def sample_actions(
    network: PolicyNetwork,
    observation: Mapping[str, Any],
    keys: jax.Array,
    cholesky: jax.Array,
    flow_steps: int,
    inpainting: Inpainting | None = None,
    rules: InpaintingRules = DEFAULT_RULES,
) -> tuple[jax.Array, jax.Array]:
    """Draw one chunk per observation; a pure function of its arguments.

    Args:
        network: the network.
        observation: `images`, `state`, `task`, `stage` (see PolicyNetwork).
        keys: key[B], of each sample's noise: a batch gives what its samples would give alone.
        cholesky: float32[H*D, H*D], factor of the noise covariance.
        flow_steps: Euler steps.
        inpainting: what the first actions should be.
        rules: how inpainting is applied.

    Returns:
        Normalised delta chunk float32[B, H, D] and stage logits float32[B, 15].
    """
    config = network.config
    prefix = network.encode(observation)
    noise = jax.vmap(lambda key: flow_noise(key, (), cholesky, config))(keys)
    step = euler_step(network, prefix, noise, cholesky, flow_steps, inpainting, rules)
    carry = (noise, jnp.float32(1.0))
    chunk, _ = jax.lax.fori_loop(0, flow_steps, lambda i, carry: step(carry, i)[0], carry)
    return chunk[..., : config.action_width], prefix.stage_logits


def trace_flow(
    network: PolicyNetwork,
    prefix: Prefix,
    noise: jax.Array,
    cholesky: jax.Array,
    flow_steps: int,
    inpainting: Inpainting | None = None,
    rules: InpaintingRules = DEFAULT_RULES,
) -> Trace:
    """The flow from given `noise` float32[B, H, F], with every step of it."""
    step = euler_step(network, prefix, noise, cholesky, flow_steps, inpainting, rules)
    _, trace = jax.lax.scan(step, (noise, jnp.float32(1.0)), jnp.arange(flow_steps))
    return trace


def euler_step(
    network: PolicyNetwork,
    prefix: Prefix,
    noise: jax.Array,
    cholesky: jax.Array,
    flow_steps: int,
    inpainting: Inpainting | None,
    rules: InpaintingRules,
) -> Any:
    """The function ((chunk, accumulated time), index of the step) -> (next pair, Trace of it)."""
    config = network.config
    if inpainting is not None and not inpainting.targets.shape[1]:
        inpainting = None
    propagation = None if inpainting is None else _propagation(config, cholesky, inpainting)
    by_time = rules.threshold == "time"

    def step(
        carry: tuple[jax.Array, jax.Array], index: jax.Array
    ) -> tuple[tuple[jax.Array, jax.Array], Trace]:
        chunk, accumulated = carry
        taken = index + 1
        time = accumulated if by_time else 1.0 - index / flow_steps
        times = jnp.full((len(chunk), 1), time, jnp.float32)
        velocity = network.velocity(chunk[:, None], times, prefix)[:, 0]
        chunk = chunk - velocity / flow_steps
        accumulated = accumulated - jnp.float32(1.0 / flow_steps)
        if inpainting is not None:
            reached = accumulated if by_time else 1.0 - taken / flow_steps
            held = constrain(chunk, noise, reached, inpainting, propagation, rules.large_correction)
            active = is_above_threshold(accumulated) if by_time else is_constrained(
                taken, flow_steps
            )  # fmt: skip
            chunk = jnp.where(active, held, chunk)
        return (chunk, accumulated), Trace(chunk, velocity)

    return step


def _propagation(
    config: ModelConfig, cholesky: jax.Array, inpainting: Inpainting
) -> jax.Array | None:
    """None where the noise is independent: then nothing moves along."""
    if not config.correlated_noise:
        return None
    return propagation_matrix(cholesky, inpainting.targets.shape[1] * config.action_width)
