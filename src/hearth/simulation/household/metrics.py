"""The official metrics of one episode: score, time and the distances that the robot travelled."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np

from hearth.simulation.household.robot import SIDES, Robot


class Travel:
    """Path lengths of base and hands [m], as the official agent metric adds them up."""

    def __init__(self, robot: Robot) -> None:
        self._robot = robot
        self.distance: dict[str, float] = dict.fromkeys(("base", *SIDES), 0.0)
        self._last: dict[str, np.ndarray] = {}

    def reset(self, data: mujoco.MjData) -> None:
        """Start at the present position."""
        self.distance = dict.fromkeys(self.distance, 0.0)
        self._last = self._positions(data)

    def update(self, data: mujoco.MjData) -> None:
        """Add the way since the last call."""
        positions = self._positions(data)
        for part, position in positions.items():
            self.distance[part] += float(np.linalg.norm(position - self._last[part]))
        self._last = positions

    def _positions(self, data: mujoco.MjData) -> dict[str, np.ndarray]:
        hands = {side: self._robot.hand_pose(data, side)[0] for side in SIDES}
        return {"base": self._robot.base_pose(data)[:2], **hands}


def official_metrics(
    score: float,
    steps: int,
    distance: dict[str, float],
    reference_distance: dict[str, float],
    reference_steps: int,
    frames_per_second: int,
) -> dict[str, Any]:
    """The official result keys.

    Normalised numbers are reference / robot, so that more is better, as in the official metrics;
    a robot that has not moved yet counts as one step or a millimetre.
    """
    return {
        "steps": steps,
        "success": score == 1.0,
        "q_score": {"final": score},
        "agent_distance": dict(distance),
        "normalized_agent_distance": {
            part: reference_distance[part] / max(length, 0.001) for part, length in distance.items()
        },
        "time": {
            "simulator_steps": steps,
            "simulator_time": steps / frames_per_second,
            "normalized_time": reference_steps / max(steps, 1),
        },
    }
