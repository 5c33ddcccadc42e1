"""Small data sets made at test time: random frames, random smooth motions inside the limits."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hearth.benchmark import Benchmark, load_benchmark
from hearth.core.records import Demonstration
from hearth.core.settings import Settings, validate_settings
from hearth.data.lerobot import DatasetWriter, write_index

RADIO, TRASH = "turning_on_radio", "picking_up_trash"


@pytest.fixture(scope="session")
def benchmark_facts() -> Benchmark:
    return load_benchmark("household")


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
    proprioception[:, 193:195] = fingers[:, None]
    proprioception[:, 232:234] = 0.03
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


@pytest.fixture
def demonstration_of(benchmark_facts: Benchmark) -> Callable[..., Demonstration]:
    """`make_demonstration` for the household benchmark: (task, length, seed, size)."""
    return functools.partial(make_demonstration, benchmark_facts)


@pytest.fixture
def make_dataset(tmp_path: Path, benchmark_facts: Benchmark) -> Callable[..., Settings]:
    """Write a data set and return settings that point to it.

    `lengths` maps a task to the lengths of its episodes; other keywords are data settings.
    """

    def make(
        lengths: dict[str, list[int]] | None = None, size: int = 64, **data: object
    ) -> Settings:
        root = tmp_path / "demonstrations"
        writer = DatasetWriter(root, benchmark_facts)
        entries = []
        for task, episode_lengths in (lengths or {RADIO: [40, 33], TRASH: [37]}).items():
            for number, length in enumerate(episode_lengths):
                demonstration = make_demonstration(benchmark_facts, task, length, number, size)
                entries.append(writer.write_episode(demonstration, number))
        write_index(root, benchmark_facts, entries, image_size=size)
        values = {
            "experiment": "unit",
            "results": str(tmp_path / "results"),
            "benchmark": "household",
            "data": {"dataset": str(root), **data},
            "statistics": {"horizon": 5},
        }
        return validate_settings(values, source="test")

    return make
