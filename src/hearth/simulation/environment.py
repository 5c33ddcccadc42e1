"""What every in-process simulator offers to evaluation, experts and demonstrations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

Observation = dict[str, np.ndarray]


@dataclass(frozen=True)
class Step:
    """One control step's result.

    Attributes:
        observation: the official observation map; empty where none was wanted.
        terminated: every goal is satisfied.
        truncated: the time limit was reached without success.
    """

    observation: Observation
    terminated: bool
    truncated: bool


@dataclass(frozen=True)
class GoalLiteral:
    """One ground literal of the goal: its BDDL text, its truth at the start and its truth now."""

    text: str
    initially: bool
    now: bool


class Environment(Protocol):
    """One task of a benchmark, run instance by instance at the benchmark's control rate."""

    steps: int

    def reset(self, instance_id: int, *, start_noise_seed: int | None = None) -> Observation:
        """Start an episode on one instance and return its first observation."""
        ...

    def step(self, action: np.ndarray, *, observe: bool = True) -> Step:
        """Advance one control step under a float[action_width] action.

        Without `observe` nothing is rendered: for actors that know their next action already.
        """
        ...

    def metrics(self) -> dict[str, Any]:
        """The official metrics of the episode so far, ready for JSON."""
        ...

    def goal_literals(self) -> list[GoalLiteral]:
        """Every ground literal of the goal, over all ground options."""
        ...

    def frame(self, width: int, height: int) -> np.ndarray:
        """A third-person view for videos, uint8[height, width, 3]."""
        ...

    def close(self) -> None:
        """Release the renderers."""
        ...
