"""What one training run needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hearth.benchmark.benchmark import Benchmark, load_benchmark
from hearth.core import seeds
from hearth.core.results import Results
from hearth.core.sections import RunSettings
from hearth.core.selection import select_tasks
from hearth.core.settings import Settings
from hearth.core.statistics import Statistics
from hearth.data.loader import Loader

# Decoded images a camera, if all fit: what a laptop can spare, and enough for small data sets.
_IMAGE_MEMORY = 512 * 2**20

Batches = Callable[[int], Iterator[dict[str, Any]]]


@dataclass(frozen=True)
class Job:
    """One run of an experiment.

    Attributes:
        settings, name, results, benchmark, tasks, statistics: of the run.
        batches: batches from a step on, without end.
    """

    settings: Settings
    name: str
    results: Results
    benchmark: Benchmark
    tasks: tuple[str, ...]
    statistics: Statistics
    batches: Batches

    @property
    def run(self) -> RunSettings:
        return self.settings.run(self.name)

    def seed(self, purpose: str) -> int:
        """The run's seed for one purpose."""
        return seeds.integer(self.settings.seed, f"training {purpose}", self.run.seed)

    @property
    def folder(self) -> Path:
        return self.results.run(self.name)

    @property
    def metrics(self) -> Path:
        """JSON lines of the losses, for reports."""
        return self.folder / "metrics.jsonl"


def make_job(settings: Settings, run: str) -> Job:
    """The job of `run` on the experiment's prepared episodes.

    Raises:
        SettingsError: no such run or task.
        StatisticsError: statistics are missing or do not fit.
    """
    chosen = settings.run(run)
    results = Results.of(settings)
    benchmark = load_benchmark(settings.benchmark)
    tasks = select_tasks(settings, benchmark.task_names)
    statistics = Statistics.load(results.statistics)
    horizon = settings.statistics.horizon
    statistics.check(benchmark.robot.name, tasks, horizon)
    seed = seeds.integer(settings.seed, "training data", chosen.seed)

    def batches(start: int) -> Iterator[dict[str, Any]]:
        files = [results.episodes(task) for task in tasks]
        return iter(
            Loader(
                files, statistics, benchmark, horizon, chosen.batch_size, seed, start,
                image_memory=_IMAGE_MEMORY,
            )
        )  # fmt: skip

    return Job(settings, run, results, benchmark, tasks, statistics, batches)
