"""Soft inpainting: the start of a chunk follows a plan, and the rest moves along (report, 7.1).

Shape letters: B batch, H horizon, D action width, F flow width, K held actions, P width of the
targets (D, or F to hold padding dimensions at zero as well).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular

# The first actions are held for the first 70 % of the steps: flow time above 0.3 in the report,
# counted in whole steps because accumulated float time misses the boundary.
_CONSTRAINED = (7, 10)
_THRESHOLD = 0.3
# A correction of a free entry beyond one standard deviation would push the chunk off the data;
# then only the held entries are set.
_LARGEST_PROPAGATION = 1.0


class Inpainting(NamedTuple):
    """The start of a chunk that is already planned.

    Attributes:
        targets: float32[B, K, P], normalised deltas of the first K actions.
        mask: bool[B], False where a sample has no targets.
    """

    targets: jax.Array
    mask: jax.Array


@dataclass(frozen=True)
class InpaintingRules:
    """How constraints are applied; the second choice of each is the public implementation's.

    Attributes:
        threshold: held for the first 70 % of the `steps`, or while the flow `time` accumulated in
            float32 is above 0.3, which ends one step earlier.
        large_correction: where one entry's correction is too large, skip the propagation of its
            `sample` alone or of the whole `batch`.
    """

    threshold: Literal["steps", "time"] = "steps"
    large_correction: Literal["sample", "batch"] = "sample"


DEFAULT_RULES = InpaintingRules()


def is_constrained(taken: jax.Array | int, flow_steps: int) -> jax.Array | bool:
    """Whether the first actions are still held after `taken` of `flow_steps` steps."""
    part, whole = _CONSTRAINED
    return whole * taken <= part * flow_steps


def is_above_threshold(time: jax.Array) -> jax.Array:
    """Whether the first actions are still held at an accumulated flow time."""
    return time > _THRESHOLD


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
    propagation: jax.Array | None,
    large_correction: Literal["sample", "batch"] = "sample",
) -> jax.Array:
    """Set the first K actions to their path at `time` and move the rest along (report, 7.1.2).

    Args:
        chunk: float32[B, H, F], predicted at `time`.
        noise: float32[B, H, F], where this sample's flow began.
        time: flow time of `chunk`.
        inpainting: targets of the first K actions.
        propagation: from `propagation_matrix`, over D dimensions; None: independent noise, so
            that nothing moves along.
        large_correction: see `InpaintingRules`.
    """
    batch, kept, width = inpainting.targets.shape
    held = (slice(None), slice(kept), slice(width))
    desired = (1.0 - time) * inpainting.targets + time * noise[held]
    constrained = chunk.at[held].set(desired)
    if propagation is not None:
        correlated = propagation.shape[1] // kept
        correction = (desired - chunk[held])[..., :correlated].reshape(batch, -1)
        spread = correction @ propagation.T
        axis = -1 if large_correction == "sample" else None
        largest = jnp.max(jnp.abs(spread), axis=axis, keepdims=True)
        spread = jnp.where(largest <= _LARGEST_PROPAGATION, spread, 0.0)
        spread = spread.reshape(batch, chunk.shape[1] - kept, correlated)
        constrained = constrained.at[:, kept:, :correlated].add(spread)
    return jnp.where(inpainting.mask[:, None, None], constrained, chunk)
