"""Helpers of the simulation tests: ready environments, and moving things by hand."""

from __future__ import annotations

from functools import cache

import mujoco
import numpy as np

from hearth.benchmark import Benchmark, load_benchmark
from hearth.simulation.household.environment import HouseholdEnvironment


@cache
def household() -> Benchmark:
    return load_benchmark("household")


@cache
def environment(task: str) -> HouseholdEnvironment:
    """One environment a task, without cameras; every test resets it first."""
    return HouseholdEnvironment(task, household(), None)


def rest(env: HouseholdEnvironment) -> np.ndarray:
    """The action that keeps the robot at its home posture with open grippers."""
    home = env.robot.home
    return np.concatenate([np.zeros(3), home.trunk, home.left_arm, [1.0], home.right_arm, [1.0]])


def put(env: HouseholdEnvironment, name: str, position, quaternion=(1.0, 0.0, 0.0, 0.0)) -> None:
    """Place a free body by hand, at rest."""
    joint = env.data.joint(name)
    joint.qpos[:] = [*position, *quaternion]
    joint.qvel[:] = 0.0


def settle(env: HouseholdEnvironment, steps: int = 20) -> None:
    """Let the robot stand still for some control steps."""
    mujoco.mj_forward(env.model, env.data)
    for _ in range(steps):
        env.step(rest(env))


def now(env: HouseholdEnvironment) -> dict[str, bool]:
    return {literal.text: literal.now for literal in env.goal_literals()}
