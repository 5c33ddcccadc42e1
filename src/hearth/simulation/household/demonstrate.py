"""Record one demonstration: the expert acts, noise pushes the robot, the clean action is kept."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from hearth.benchmark import Benchmark
from hearth.core.records import Demonstration
from hearth.simulation.household.environment import HouseholdEnvironment
from hearth.simulation.household.experts import NoisyExecution, create

# An expert is slower than its mean on a hard instance; the benchmark's limit is for policies.
_TIME_LIMIT_STEPS = 1600


def demonstrate(
    task: str, benchmark: Benchmark, instance_id: int, seed: int, image_size: int, noise: float
) -> Demonstration:
    """Run the scripted expert once; `success` tells whether all goals held at the end.

    Noise on the executed action with the clean action as the label puts recoveries into the
    data (as in DART, Laskey et al. 2017): the policy sees states beside the expert's path
    together with the command that leads back.

    Args:
        seed: of the start posture's noise and of the action noise.
        image_size: pixels of the square camera images; 0 renders nothing.
        noise: scale of the action noise [rad].
    """
    environment = _environment(task, benchmark.name, image_size)
    observation = environment.reset(instance_id, start_noise_seed=seed)
    expert = create(task)
    expert.reset(environment)
    execution = NoisyExecution(seed, noise, expert.base_noise)
    actions, states, stages = [], [], []
    frames: dict[str, list[np.ndarray]] = {name: [] for name in benchmark.cameras if image_size}
    success = False
    while environment.steps < _TIME_LIMIT_STEPS and not expert.done:
        action = expert.act(environment)
        actions.append(action)
        stages.append(expert.stage)
        states.append(observation[benchmark.robot.proprioception_key])
        for name, images in frames.items():
            images.append(observation[benchmark.cameras[name].observation_key][..., :3])
        step = environment.step(execution(action, expert.noise_gain))
        observation = step.observation
        if step.terminated:
            success = True
            break
    return Demonstration(
        task=task,
        instance_id=instance_id,
        seed=seed,
        success=success,
        actions=np.asarray(actions, dtype=np.float32),
        proprioception=np.asarray(states, dtype=np.float32),
        frames={name: np.stack(images) for name, images in frames.items()},
        expert_stages=np.asarray(stages, dtype=np.int32),
    )


@lru_cache(maxsize=2)
def _environment(task: str, benchmark_name: str, image_size: int) -> HouseholdEnvironment:
    """Compiling a scene takes longer than resetting it: one environment a process and task."""
    from hearth.benchmark import load_benchmark

    benchmark = load_benchmark(benchmark_name)
    sizes = {name: image_size for name in benchmark.cameras} if image_size else None
    return HouseholdEnvironment(task, benchmark, sizes, time_limit=_TIME_LIMIT_STEPS)
