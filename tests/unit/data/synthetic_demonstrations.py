"""Demonstrations made at test time: differing frames, smooth random motions inside the limits."""

from __future__ import annotations

import numpy as np

from hearth.benchmark import Benchmark
from hearth.core.records import Demonstration


def make_demonstration(
    benchmark: Benchmark, task: str, length: int, seed: int, size: int = 64
) -> Demonstration:
    """A demonstration whose frames differ visibly from each other and between cameras."""
    generator = np.random.default_rng(seed)
    robot = benchmark.robot
    weights = generator.uniform(0.2, 0.8, size=robot.action_width)
    wave = 0.5 + 0.3 * np.sin(np.arange(length)[:, None] / 7.0 + 6.0 * weights)
    actions = robot.lower + (robot.upper - robot.lower) * wave
    proprioception = generator.normal(size=(length, robot.proprioception_width))
    # Fingers in metres: the left hand closes fully in the last third, the right one never does.
    fingers = np.full(length, 0.04)
    fingers[length * 2 // 3 :] = 0.0
    for part in robot.state:
        if part.gripper:
            closing = part.name == "left_gripper"
            values = fingers[:, None] if closing else 0.03
            proprioception[:, slice(*part.proprioception)] = values
    frames = {}
    for number, camera in enumerate(benchmark.cameras):
        colour = generator.integers(40, 200, size=3)
        images = np.broadcast_to(colour, (length, size, size, 3)).astype(np.uint8)
        images[:, : size // 4, :, number] = (np.arange(length) * 7 % 256)[:, None, None]
        frames[camera] = images
    return Demonstration(
        task=task,
        instance_id=seed + 1,
        seed=seed,
        success=True,
        actions=actions.astype(np.float32),
        proprioception=proprioception.astype(np.float32),
        frames=frames,
        expert_stages=(np.arange(length) * 3 // length).astype(np.int32),
    )
