"""Seeded instances: where things and the robot stand at the start, the same for the same seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hearth.core.seeds import generator
from hearth.simulation.household.layout import Layout

# Every instance moves the robot's start by up to this much: x, y [m], yaw [rad].
START_JITTER = (0.09, 0.09, 0.08)
# Start noise of demonstrations [rad]: arms widely, the trunk less because it carries both arms.
ARM_NOISE_RAD = 0.09
TRUNK_NOISE_RAD = 0.03
# Things are put down from this height [m] so that none starts inside what it stands on.
CLEARANCE_M = 0.001


@dataclass(frozen=True)
class Instance:
    """One start.

    Attributes:
        poses: per movable thing x, y, height of its base [m] and yaw [rad].
        base: the robot's x, y [m] and yaw [rad].
    """

    poses: dict[str, np.ndarray]
    base: np.ndarray


def sample_instance(
    layout: Layout, seed: int, task_index: int, instance_id: int, attempt: int
) -> Instance:
    """The instance that (seed, task, instance id) stands for; `attempt` counts rejected ones."""
    random = generator(seed, "instance", task_index, instance_id, attempt)
    offsets: dict[str, np.ndarray] = {}
    poses = {}
    for thing in layout.movable:
        own = random.uniform(-1.0, 1.0, 2) * thing.jitter
        turn = random.uniform(-1.0, 1.0) * thing.yaw_jitter
        shift = offsets.setdefault(thing.group, own) if thing.group else own
        x, y, height = thing.position
        poses[thing.name] = np.array(
            [x + shift[0], y + shift[1], height + CLEARANCE_M, thing.yaw + turn]
        )
    base = np.asarray(layout.start) + random.uniform(-1.0, 1.0, 3) * START_JITTER
    return Instance(poses, base)


def start_noise(seed: int, task_index: int, instance_id: int, noise_seed: int | None) -> np.ndarray:
    """Joint offsets [rad] for the start posture: trunk (4), left arm (7), right arm (7).

    Zero without a noise seed. The instance itself does not depend on it.
    """
    if noise_seed is None:
        return np.zeros(18)
    random = generator(seed, "start noise", task_index, instance_id, noise_seed)
    scale = np.concatenate([np.full(4, TRUNK_NOISE_RAD), np.full(14, ARM_NOISE_RAD)])
    return random.uniform(-1.0, 1.0, 18) * scale
