"""Small data sets made at test time."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import pytest
from loader_setup import Prepared, two_tasks
from synthetic_demonstrations import make_demonstration

from hearth.benchmark import Benchmark, load_benchmark
from hearth.core.records import Demonstration
from hearth.core.settings import Settings, validate_settings
from hearth.data.lerobot import DatasetWriter, write_index

RADIO, TRASH = "turning_on_radio", "picking_up_trash"


@pytest.fixture(scope="session")
def benchmark_facts() -> Benchmark:
    return load_benchmark("household")


@pytest.fixture
def prepared(tmp_path: Path, benchmark_facts: Benchmark) -> Prepared:
    """Two small prepared tasks for the loader."""
    return two_tasks(tmp_path, benchmark_facts)


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
