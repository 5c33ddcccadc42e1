"""What one training run needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax

from hearth.benchmark import Benchmark, experiment_benchmark
from hearth.core import seeds
from hearth.core.groups import tasks_of_run
from hearth.core.results import Results
from hearth.core.sections import RunSettings
from hearth.core.selection import select_tasks
from hearth.core.settings import Settings
from hearth.core.statistics import Statistics
from hearth.data.loader import Loader
from hearth.data.statistics import check_source
from hearth.data.tokenizer import tokenize_chunks, tokenizer_for

Batches = Callable[[int], Iterator[dict[str, Any]]]
BatchAt = Callable[[int], dict[str, Any]]


@dataclass(frozen=True)
class Job:
    """One run of an experiment.

    Attributes:
        settings, name, results, benchmark, tasks, statistics: of the run.
        batches: batches from a step on, without end.
        held_out: makes the function number -> batch of held-out episodes, where the run looks at
            them.
    """

    settings: Settings
    name: str
    results: Results
    benchmark: Benchmark
    tasks: tuple[str, ...]
    statistics: Statistics
    batches: Batches
    held_out: Callable[[], BatchAt] | None = None

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
        TrainingError: the run's tasks follow from groups that are not made yet.
        StatisticsError: statistics are missing, do not fit, or are of another data set.
        DataError: a task is not prepared.
    """
    settings = settings.for_run(run)
    results = Results.of(settings)
    benchmark = experiment_benchmark(settings)
    tasks = tasks_of_run(settings, run, select_tasks(settings, benchmark.task_names))
    statistics = Statistics.load(Results.of_run(settings, run).statistics)
    statistics.check(benchmark.robot.name, tasks, settings.statistics.horizon)
    if not results.trained(run).is_file():  # a finished run needs its episodes no more
        check_source(statistics, settings, benchmark)

    def batches(start: int) -> Iterator[dict[str, Any]]:
        return iter(make_loader(settings, run, benchmark, tasks, statistics, start=start))

    def held_out() -> BatchAt:
        loader = make_loader(settings, run, benchmark, tasks, statistics, held_out=True)
        return loader.batch

    return Job(settings, run, results, benchmark, tasks, statistics, batches, held_out)


def make_loader(
    settings: Settings,
    run: str,
    benchmark: Benchmark,
    tasks: tuple[str, ...],
    statistics: Statistics,
    *,
    start: int = 0,
    held_out: bool = False,
) -> Loader:
    """The loader of a run, from step `start` on; of several hosts each reads its slice.

    `held_out` draws from the episodes held out for validation, with a seed of their own.

    Raises:
        DataError: prepared episodes are missing or damaged.
    """
    results, chosen = Results.of(settings), settings.run(run)
    tokenizer = tokenizer_for(settings, run, statistics)
    purpose = "validation" if held_out else "training"
    # No gradient is accumulated over the parts of a held-out batch: it is as large as one of them.
    parts = chosen.accumulation_steps if held_out else 1
    return Loader(
        [results.episodes(task) for task in tasks],
        statistics,
        benchmark,
        settings.statistics.horizon,
        chosen.batch_size // parts,
        seeds.integer(settings.seed, f"{purpose} data", chosen.seed),
        start,
        settings=chosen.loader,
        held_out=held_out,
        host=jax.process_index(),
        hosts=jax.process_count(),
        tokenize=None if tokenizer is None else partial(tokenize_chunks, tokenizer),
    )
