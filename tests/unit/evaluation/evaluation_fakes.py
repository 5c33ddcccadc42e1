"""A simulator and a policy server without physics or network, with faults on request.

The environment variable HEARTH_FAKE names a folder. A file `<what>` in it switches a fault on:
`instance_<id>` holds the fault of that instance, `once_<id>` a fault that happens only once,
`start` a fault while the simulator starts, `server` one of the server's fourth answer. With
`planning` the policy plans three actions a prediction.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from hearth.benchmark import Benchmark
from hearth.core.errors import SimulationError
from hearth.core.lifetime import end_with_parent
from hearth.policy.record import PredictionRecord
from hearth.serving.access import read_keys
from hearth.serving.server import serve
from hearth.simulation.environment import GoalLiteral, Step

STEPS_TO_SUCCESS = 6


def folder() -> Path:
    return Path(os.environ["HEARTH_FAKE"])


def misbehave(fault: str) -> None:
    if fault == "segfault":
        print("about to crash", flush=True)
        os.kill(os.getpid(), signal.SIGSEGV)
    if fault == "hang":
        time.sleep(600)
    if fault == "raise":
        raise ValueError("the physics went wrong")
    if fault == "refuse":
        raise SimulationError("no graphics library here")


class FakeEnvironment:
    """Succeeds after a few steps when the actions count up from 0; even instances never do."""

    def __init__(self, image_size: int | None) -> None:
        self.image_size = image_size
        self.steps = 0
        self.instance_id = -1

    def reset(self, instance_id: int, *, start_noise_seed: int | None = None) -> dict:
        self.steps, self.instance_id = 0, instance_id
        with (folder() / "played").open("a") as log:
            log.write(f"{instance_id} {os.getpid()} {start_noise_seed}\n")
        return self._observation()

    def step(self, action: np.ndarray, *, observe: bool = True) -> Step:
        assert action.shape == (23,) and action[0] == self.steps, action
        if self.steps == 2:
            self._fault()
        time.sleep(float(os.environ.get("HEARTH_FAKE_STEP", "0")))
        self.steps += 1
        done = self.steps >= STEPS_TO_SUCCESS
        success = done and self.instance_id % 2 == 1
        return Step(self._observation() if observe else {}, success, done and not success)

    def _fault(self) -> None:
        for name in (f"instance_{self.instance_id}", f"once_{self.instance_id}"):
            path = folder() / name
            if path.exists():
                fault = path.read_text()
                if name.startswith("once"):
                    path.unlink()
                misbehave(fault)

    def _observation(self) -> dict[str, np.ndarray]:
        return {"robot_r1::proprio": np.full(256, self.steps, np.float32)}

    def metrics(self) -> dict[str, Any]:
        success = self.steps >= STEPS_TO_SUCCESS and self.instance_id % 2 == 1
        parts = dict.fromkeys(("base", "left", "right"), 1.0)
        return {
            "q_score": {"final": 1.0 if success else 0.5},
            "agent_distance": parts,
            "normalized_agent_distance": parts,
            "time": {
                "simulator_steps": self.steps,
                "simulator_time": self.steps / 30,
                "normalized_time": 2.0,
            },
        }

    def goal_literals(self) -> list[GoalLiteral]:
        return [GoalLiteral("toggled_on radio", False, self.instance_id % 2 == 1)]

    def frame(self, width: int, height: int) -> np.ndarray:
        return np.full((height, width, 3), 40 * self.steps, np.uint8)

    def close(self) -> None:
        pass


def environment(task: str, benchmark: Benchmark, image_size: int | None) -> FakeEnvironment:
    if (folder() / "start").exists():
        misbehave((folder() / "start").read_text())
    return FakeEnvironment(image_size)


class CountingPolicy:
    """Counts its own steps, so that mixed episodes show in the actions."""

    answers = 0

    def reset(self) -> None:
        self.count = 0

    def act(self, observation: dict) -> np.ndarray:
        CountingPolicy.answers += 1
        path = folder() / "server"
        if CountingPolicy.answers == 4 and path.exists():
            fault = path.read_text()
            path.unlink()
            misbehave(fault)
        assert observation["robot_r1::proprio"][0] == self.count
        action = np.full(23, self.count, np.float32)
        self.count += 1
        return action


class PlanningPolicy:
    """Plans three counting actions a prediction; the raw stage jumps, the right hand opens once."""

    predictor = SimpleNamespace(predict_batch=lambda requests, rows=None: requests)

    def reset(self) -> None:
        self.queue: list[np.ndarray] = []
        self.count, self.record = 0, None

    def act(self, observation: dict) -> np.ndarray:
        raise AssertionError("the server asks for halves")

    def prepare(self, observation: dict) -> Any:
        return self.queue.pop(0) if self.queue else SimpleNamespace(sampling=None)

    def finish(self, prediction: Any) -> np.ndarray:
        first = self.count
        plan = np.repeat(np.arange(first, first + 5, dtype=np.float32)[:, None], 23, axis=1)
        self.count += 3
        self.record = PredictionRecord(
            raw_stage=4 if first else 0, voted_stage=0, stage=0,
            opened=np.array([False, first == 3]), overlap_error=0.123456 if first else None,
            chunk=plan, actions=plan[:3], kept=plan[3:], used=3,
        )  # fmt: skip
        self.queue = list(plan[1:3])
        return plan[0]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, nargs="+")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--key-file", type=Path)
    parser.add_argument("--one-evaluator-per-port", action="store_true")
    parser.add_argument("--ready-file", type=Path)
    parser.add_argument("--predictions", type=Path)  # this policy tells of none
    parser.add_argument("--parent", type=int)
    options = parser.parse_args()
    end_with_parent(options.parent)
    (folder() / "server_pid").write_text(str(os.getpid()))
    if (folder() / "server_start").exists():
        sys.exit("the server has no memory left")
    policy = PlanningPolicy if (folder() / "planning").exists() else CountingPolicy
    serve(
        policy, options.host, options.port,
        metadata={"device": "fake", "policy_hash": "0123456789abcdef"},
        ready_file=options.ready_file,
        keys=None if options.key_file is None else read_keys(options.key_file),
        one_evaluator_per_port=options.one_evaluator_per_port,
    )  # fmt: skip


if __name__ == "__main__":
    main()
