"""How much faster than real time the household simulator runs on one core.

Prints, per task, the processor time of a control step with three cameras and its ratio to real
time (one step is 1/30 s), beside two baselines of the same run: MuJoCo's default render settings,
and no cameras. Processor time, so that other work on the machine does not count.

    python benchmarks/simulation_speed.py --steps 60 --image-size 64
"""

from __future__ import annotations

import argparse
import os
import time

import numpy as np

from hearth.benchmark import load_benchmark
from hearth.simulation.household.environment import HouseholdEnvironment
from hearth.simulation.household.rendering import MUJOCO_DEFAULT_QUALITY, POLICY_QUALITY

CAMERAS = ("head", "left_wrist", "right_wrist")


def milliseconds_per_step(task: str, benchmark, sizes: dict, quality, steps: int) -> float:
    """Median processor time of one control step under small random joint motion [ms]."""
    environment = HouseholdEnvironment(task, benchmark, sizes, quality=quality)
    environment.reset(1)
    home = environment.robot.home
    rest = np.concatenate([np.zeros(3), home.trunk, home.left_arm, [1], home.right_arm, [1]])
    random = np.random.default_rng(0)
    times = []
    for _ in range(steps):
        action = rest + random.uniform(-0.1, 0.1, rest.size)
        start = time.process_time()
        environment.step(action)
        times.append(time.process_time() - start)
    environment.close()
    return 1000 * float(np.median(times))


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--benchmark", default="household")
    parser.add_argument("--tasks", nargs="*", help="all tasks of the benchmark by default")
    arguments = parser.parse_args()
    benchmark = load_benchmark(arguments.benchmark)
    real_time = 1000 / benchmark.frames_per_second
    sizes = dict.fromkeys(CAMERAS, arguments.image_size)
    print(
        f"three {arguments.image_size}-pixel cameras, {arguments.steps} steps, "
        f"MUJOCO_GL={os.environ['MUJOCO_GL']}; times real time, and (ms a step)"
    )
    print(f"{'task':<26}{'hearth':>16}{'MuJoCo defaults':>18}{'no cameras':>16}{'gain':>8}")
    for task in arguments.tasks or benchmark.task_names:
        ours, default, blind = (
            milliseconds_per_step(task, benchmark, cameras, quality, steps)
            for cameras, quality, steps in (
                (sizes, POLICY_QUALITY, arguments.steps),
                (sizes, MUJOCO_DEFAULT_QUALITY, max(arguments.steps // 6, 5)),
                ({}, POLICY_QUALITY, arguments.steps),
            )
        )
        cells = (f"{real_time / value:.1f}x ({value:.1f})" for value in (ours, default, blind))
        first, second, third = cells
        print(f"{task:<26}{first:>16}{second:>18}{third:>16}{default / ours:>7.0f}x")


if __name__ == "__main__":
    main()
