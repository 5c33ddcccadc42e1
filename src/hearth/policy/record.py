"""What one prediction said and what the runtime made of it (report, figures 6 to 8)."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np


@dataclass(frozen=True)
class PredictionRecord:
    """One prediction of an episode.

    Attributes:
        raw_stage: the stage that the network names, without a vote.
        voted_stage: the tracked stage once this prediction has voted.
        stage: the stage after the task rules, which the next prediction is told.
        opened: bool[hands], the hands that a correction rule opened, left before right.
        overlap_error: how far this chunk starts from the actions that were planned to come next:
            root mean square over those actions, normalised [standard deviations]; None where none
            were planned.
        chunk: float32[H, D], absolute, as predicted.
        actions: float32[n, D], absolute, what is executed: corrected, compressed and clipped.
        kept: float32[k, D], absolute, what is planned to come next.
        used: how many predicted actions the executed ones come from.
    """

    raw_stage: int
    voted_stage: int
    stage: int
    opened: np.ndarray
    overlap_error: float | None
    chunk: np.ndarray
    actions: np.ndarray
    kept: np.ndarray
    used: int

    def as_map(self) -> dict[str, Any]:
        """The fields by name, as the policy server sends them."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def overlap_error(predicted: np.ndarray, planned: np.ndarray) -> float:
    """Root mean square between a chunk's first actions and those planned before, both normalised.

    Args:
        predicted: float[H, D].
        planned: float[k, D], k > 0.
    """
    return float(np.sqrt(np.mean((predicted[: len(planned)] - planned) ** 2)))
