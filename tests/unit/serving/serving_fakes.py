"""A policy server for tests: the action tells the task, the episode's step and the image's sum."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from hearth.core.errors import ServingError
from hearth.serving.server import serve


class FakePolicy:
    """action = [task_id, steps since reset, sum of 'image', 0, ...]; misbehaves when told to."""

    def reset(self) -> None:
        self.steps = 0

    def act(self, observation: dict) -> np.ndarray:
        order = observation.get("order", "")
        if order == "sleep":
            time.sleep(1.5)
        if order == "raise":
            raise ValueError("division of a robot")
        if order == "refuse":
            raise ServingError("the observation lacks 'robot_r1::proprio'")
        action = np.zeros(23, np.float32)
        action[0] = np.asarray(observation.get("task_id", [-1])).reshape(-1)[0]
        action[1] = np.nan if order == "nan" else self.steps
        action[2] = np.sum(observation.get("image", 0.0))
        self.steps += 1
        return action


if __name__ == "__main__":
    serve(
        FakePolicy, "127.0.0.1", int(sys.argv[2]),
        metadata={"policy": "fake"}, ready_file=Path(sys.argv[1]),
    )  # fmt: skip
