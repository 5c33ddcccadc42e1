"""Counting an expert's successes: ``python -m hearth.simulation.household.experts.success``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hearth.benchmark import load_benchmark
from hearth.simulation.household.environment import HouseholdEnvironment
from hearth.simulation.household.experts import EXPERTS, NoisyExecution, create


@dataclass(frozen=True)
class SuccessCount:
    """Outcome of one expert on a set of instances; `steps` are those of the successes."""

    task: str
    failed: tuple[int, ...]
    steps: tuple[int, ...]

    def __str__(self) -> str:
        total = len(self.failed) + len(self.steps)
        lengths = (
            f"steps {min(self.steps)} to {max(self.steps)}, mean {np.mean(self.steps):.0f}"
            if self.steps
            else "no successes"
        )
        failed = f"; failed instances {list(self.failed)}" if self.failed else ""
        return f"{self.task}: {len(self.steps)} of {total}, {lengths}{failed}"


def success_count(
    task: str, instances: Sequence[int], noise: float, limit: int = 3000
) -> SuccessCount:
    """Run an expert once per instance, without rendering.

    Args:
        noise: scale of the execution noise [rad]; start postures are always disturbed.
        limit: control steps after which an episode has failed.

    Raises:
        SimulationError: the task has no expert or no scene.
    """
    expert = create(task)
    environment = HouseholdEnvironment(task, load_benchmark("household"), None, time_limit=limit)
    failed, steps = [], []
    for instance in instances:
        environment.reset(instance, start_noise_seed=instance)
        expert.reset(environment)
        execution = NoisyExecution(instance, noise, expert.base_noise)
        success = False
        while not success and not expert.done and environment.steps < limit:
            action = expert.act(environment)
            success = environment.step(execution(action, expert.noise_gain)).terminated
        if success:
            steps.append(environment.steps)
        else:
            failed.append(instance)
    environment.close()
    return SuccessCount(task, tuple(failed), tuple(steps))


def main() -> None:
    """Print the counts of some or all tasks."""
    parser = argparse.ArgumentParser(description="Count an expert's successes.")
    parser.add_argument("--task", choices=sorted(EXPERTS), action="append")
    parser.add_argument("--first", type=int, default=1, help="first instance")
    parser.add_argument("--count", type=int, default=20, help="number of instances")
    parser.add_argument("--noise", type=float, default=0.04, help="execution noise [rad]")
    arguments = parser.parse_args()
    instances = range(arguments.first, arguments.first + arguments.count)
    for task in arguments.task or EXPERTS:
        print(success_count(task, instances, arguments.noise), flush=True)


if __name__ == "__main__":
    main()
