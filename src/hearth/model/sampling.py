"""Sampling of action chunks: Euler steps from correlated noise, with inpainting (report, 7.1).

Shape letters: B batch, H horizon, D action width, K inpainted actions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular

from hearth.model.noise import correlated_noise
from hearth.model.policy_network import PolicyNetwork

# The first actions are held for the first 70 % of the steps: flow time above 0.3 in the report,
# counted in whole steps because accumulated float time misses the boundary.
_CONSTRAINED = (7, 10)
# A correction of a free entry beyond one standard deviation would push the chunk off the data;
# then only the held entries are set.
_LARGEST_PROPAGATION = 1.0


class Inpainting(NamedTuple):
    """The start of a chunk that is already planned.

    Attributes:
        targets: float32[B, K, D], normalised deltas of the first K actions.
        mask: bool[B], False where a sample has no targets.
    """

    targets: jax.Array
    mask: jax.Array


def sample_actions(
    network: PolicyNetwork,
    observation: Mapping[str, Any],
    key: jax.Array,
    cholesky: jax.Array,
    flow_steps: int,
    inpainting: Inpainting | None = None,
) -> tuple[jax.Array, jax.Array]:
    """Draw one chunk per observation; a pure function of its arguments.

    Args:
        network: the network.
        observation: `images`, `state`, `task`, `stage` (see PolicyNetwork).
        key: key of the initial noise.
        cholesky: float32[H*D, H*D], factor of the noise covariance.
        flow_steps: Euler steps.
        inpainting: what the first actions should be.

    Returns:
        Normalised delta chunk float32[B, H, D] and stage logits float32[B, 15].
    """
    config = network.config
    prefix = network.encode(observation)
    batch = observation["state"].shape[0]
    noise = correlated_noise(key, (batch,), cholesky, config.horizon, config.action_width)
    propagation = None
    if inpainting is not None and inpainting.targets.shape[1]:
        held = inpainting.targets.shape[1] * config.action_width
        propagation = propagation_matrix(cholesky, held)

    def step(index: jax.Array, chunk: jax.Array) -> jax.Array:
        time = 1.0 - index / flow_steps
        times = jnp.full((batch, 1), time, jnp.float32)
        chunk = chunk - network.velocity(chunk[:, None], times, prefix)[:, 0] / flow_steps
        if inpainting is None or propagation is None:
            return chunk
        taken = index + 1
        held = constrain(chunk, noise, 1.0 - taken / flow_steps, inpainting, propagation)
        return jnp.where(is_constrained(taken, flow_steps), held, chunk)

    return jax.lax.fori_loop(0, flow_steps, step, noise), prefix.stage_logits


def is_constrained(taken: jax.Array | int, flow_steps: int) -> jax.Array | bool:
    """Whether the first actions are still held after `taken` of `flow_steps` steps."""
    part, whole = _CONSTRAINED
    return whole * taken <= part * flow_steps


def propagation_matrix(cholesky: jax.Array, held: int) -> jax.Array:
    """Sigma_UO Sigma_OO^-1, float32[H*D - held, held], for the first `held` flat entries O.

    O leads the flat index, so with the blocks of the factor L this is L_UO L_OO^-1: one
    triangular solve, and no product whose condition would be squared.
    """
    observed, free = cholesky[:held, :held], cholesky[held:, :held]
    return solve_triangular(observed, free.T, lower=True, trans="T").T


def constrain(
    chunk: jax.Array,
    noise: jax.Array,
    time: jax.Array | float,
    inpainting: Inpainting,
    propagation: jax.Array,
) -> jax.Array:
    """Set the first K actions to their path at `time` and move the rest along (report, 7.1.2).

    Args:
        chunk: float32[B, H, D], predicted at `time`.
        noise: float32[B, H, D], where this sample's flow began.
        time: flow time of `chunk`.
        inpainting: targets of the first K actions.
        propagation: from `propagation_matrix`.
    """
    batch, kept = inpainting.targets.shape[:2]
    desired = (1.0 - time) * inpainting.targets + time * noise[:, :kept]
    correction = (desired - chunk[:, :kept]).reshape(batch, -1)
    spread = correction @ propagation.T
    small = jnp.max(jnp.abs(spread), axis=-1, keepdims=True) <= _LARGEST_PROPAGATION
    spread = jnp.where(small, spread, 0.0).reshape(chunk[:, kept:].shape)
    held = jnp.concatenate([desired, chunk[:, kept:] + spread], axis=1)
    return jnp.where(inpainting.mask[:, None, None], held, chunk)
