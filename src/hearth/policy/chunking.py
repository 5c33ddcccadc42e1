"""From a predicted chunk to the actions of the next steps and the targets of the next chunk."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hearth.core.actions import to_absolute, to_delta
from hearth.core.errors import SettingsError
from hearth.core.sections import RuntimeSettings
from hearth.core.statistics import Statistics
from hearth.policy.compression import compress, executed_steps, gripper_moves


@dataclass(frozen=True)
class Plan:
    """What follows from one prediction.

    Attributes:
        actions: float32[n, D], absolute, executed one a step; then the policy predicts again.
        kept: float32[k, D], absolute, the actions that would have come next.
        used: how many predicted actions the executed ones come from.
    """

    actions: np.ndarray
    kept: np.ndarray
    used: int


def plan(
    chunk: np.ndarray,
    runtime: RuntimeSettings,
    grippers: tuple[int, ...],
    base_velocity: slice,
) -> Plan:
    """Cut an absolute chunk (H, D) into executed and kept actions (report, 7.1.1 and 7.2).

    With compression the first `actions_to_execute` actions are executed in fewer steps and the
    kept ones follow them. While a gripper is about to move, as many actions as there are steps are
    executed as they are, the kept ones follow these directly, and the rest is dropped.
    """
    used = runtime.actions_to_execute
    steps = executed_steps(used, runtime.compression)
    if steps != used and gripper_moves(chunk[:used], grippers, runtime.compression_gripper_span):
        used = steps
    actions = compress(
        chunk[:used], steps, base_velocity, scale_base_velocity=runtime.scale_base_velocity
    )
    kept = chunk[used : used + runtime.actions_to_keep]
    return Plan(actions.astype(np.float32), kept.astype(np.float32), used)


def check_horizon(runtime: RuntimeSettings, horizon: int) -> None:
    """Refuse a runtime that wants more actions than a chunk has.

    Raises:
        SettingsError: naming the numbers.
    """
    steps = executed_steps(runtime.actions_to_execute, runtime.compression)
    used = max(runtime.actions_to_execute, steps)
    if used + runtime.actions_to_keep > horizon:
        raise SettingsError(
            f"runtime: actions_to_execute {runtime.actions_to_execute} at compression "
            f"{runtime.compression:g} takes up to {used} predicted actions, and actions_to_keep "
            f"{runtime.actions_to_keep} more; the horizon is {horizon}"
        )


def normalised_targets(
    kept: np.ndarray, state: np.ndarray, statistics: Statistics, delta_mask: np.ndarray
) -> np.ndarray:
    """Kept absolute actions (k, D) as the first k normalised actions of a chunk from `state`."""
    return statistics.normalise_actions(to_delta(kept, state, delta_mask))


def absolute_chunk(
    normalised: np.ndarray, state: np.ndarray, statistics: Statistics, delta_mask: np.ndarray
) -> np.ndarray:
    """A normalised prediction (H, D) as absolute actions, float32[H, D]."""
    return to_absolute(statistics.denormalise_actions(normalised), state, delta_mask)
