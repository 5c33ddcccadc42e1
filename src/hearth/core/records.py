"""Plain records that cross module borders."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Demonstration:
    """One recorded episode of T frames at the benchmark's rate.

    Attributes:
        task: task name.
        instance_id: the instance it was recorded on.
        seed: the seed of start noise and action noise.
        success: whether all goals held at the end.
        actions: float32[T, D], the clean commands in the benchmark's order and units.
        proprioception: float32[T, P].
        frames: per camera uint8[T, height, width, 3].
        expert_stages: int32[T], the expert's phase at each frame.
    """

    task: str
    instance_id: int
    seed: int
    success: bool
    actions: np.ndarray
    proprioception: np.ndarray
    frames: dict[str, np.ndarray]
    expert_stages: np.ndarray

    @property
    def length(self) -> int:
        return len(self.actions)
