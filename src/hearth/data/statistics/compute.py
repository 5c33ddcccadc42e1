"""Statistics of an experiment's prepared episodes: a file per task, then all of them pooled."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from hearth.benchmark import Benchmark, experiment_benchmark
from hearth.core.errors import DataError, StatisticsError
from hearth.core.files import hash_json, read_json
from hearth.core.lifetime import end_pool_worker_with_parent
from hearth.core.own_statistics import measures_anew
from hearth.core.progress import progress
from hearth.core.results import Results
from hearth.core.settings import Settings
from hearth.core.statistics import Statistics
from hearth.data.episodes import EpisodeTable, iterate_tables, open_file
from hearth.data.statistics.accumulate import TaskAccumulator
from hearth.data.statistics.merge import Pooled, delta_mask, pool
from hearth.data.statistics.partial import FORMAT, Identity, TaskStatistics, is_current

# Several tasks share the cores: threads of the matrix library only get in each other's way.
_ONE_THREAD: dict[str, str] = {
    name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
}


def compute_statistics(settings: Settings, tasks: Sequence[str], workers: int = 1) -> Statistics:
    """The statistics of `tasks`: `pool_tasks` without what the figures show beside them."""
    return pool_tasks(settings, tasks, workers).statistics


def pool_tasks(
    settings: Settings, tasks: Sequence[str], workers: int = 1, run: str | None = None
) -> Pooled:
    """Bring the files of `tasks` up to date, in `workers` processes, and pool them.

    Files whose episodes and settings did not change are kept, so a further task costs itself alone.

    Args:
        settings: the experiment.
        tasks: their names.
        workers: processes.
        run: whose own statistics to make; None: those of the experiment.

    Raises:
        DataError: a task is not prepared, or its file is damaged or belongs to another benchmark.
        StatisticsError: there are no episodes, or none has a full chunk.
    """
    results = Results.of(settings)
    if run is not None:
        results = Results.of_run(settings, run) if measures_anew(settings, run) else results
        settings = settings.for_run(run)
    benchmark = experiment_benchmark(settings)
    identities = {task: identify(settings, benchmark, task) for task in tasks}
    paths = {task: results.task_statistics(task) for task in tasks}
    outdated = {
        task: path for task, path in paths.items() if not is_current(path, identities[task])
    }
    _compute_tasks(settings, outdated, workers)
    return pool(
        (TaskStatistics.load(paths[task]) for task in tasks), benchmark, settings.statistics
    )


def bring_up_to_date(settings: Settings, task: str, path: Path | None = None) -> TaskStatistics:
    """The statistics of one task: its file if it is current, else computed and written.

    `path` is the file; None: the experiment's own.

    Raises:
        DataError: it is not prepared, or its file is damaged or belongs to another benchmark.
    """
    results = Results.of(settings)
    benchmark = experiment_benchmark(settings)
    identity = identify(settings, benchmark, task)
    path = path or results.task_statistics(task)
    if is_current(path, identity):
        return TaskStatistics.load(path)
    delta = delta_mask(settings.statistics, benchmark)
    found = accumulate(iterate_tables(results.episodes(task)), benchmark, identity, delta)
    found.save(path)
    return found


def accumulate(
    tables: Iterable[EpisodeTable],
    benchmark: Benchmark,
    identity: Identity,
    delta: np.ndarray | None = None,
) -> TaskStatistics:
    """One pass over the episodes of a task; `delta` as `TaskAccumulator` takes it."""
    accumulator = TaskAccumulator(benchmark, identity, delta)
    for table in tables:
        accumulator.add(table)
    return accumulator.finish()


def identify(settings: Settings, benchmark: Benchmark, task: str) -> Identity:
    """What the statistics of a prepared task belong to.

    Raises:
        DataError: the task is not prepared, or for another benchmark.
    """
    results = Results.of(settings)
    check_file(results.episodes(task), benchmark)
    horizon = settings.statistics.horizon
    content = {
        "format": FORMAT,
        "episodes": read_json(results.prepared(task))["hash"],
        "benchmark": benchmark.name,
        "robot": benchmark.robot.model_dump(mode="json"),
        "horizon": horizon,
        "delta": settings.statistics.delta_actions,
    }
    index = benchmark.task(task).index
    return Identity(benchmark.name, benchmark.robot.name, task, index, horizon, hash_json(content))


def check_source(statistics: Statistics, settings: Settings, benchmark: Benchmark) -> None:
    """Refuse statistics that were not made from the experiment's prepared episodes.

    Raises:
        StatisticsError: they are of another data set, or of episodes that were made anew since.
        DataError: a task that they cover is not prepared.
    """
    found = [identify(settings, benchmark, task).fingerprint for task in statistics.tasks]
    if hash_json(found) != statistics.source_hash:
        raise StatisticsError(
            f"the statistics of {', '.join(statistics.tasks)} are of another data set than the "
            f"prepared episodes in {Results.of(settings).root / 'episodes'} (hash "
            f"{statistics.source_hash}, not {hash_json(found)}); make them from these with: "
            "hearth statistics"
        )


def check_file(path: Path, benchmark: Benchmark) -> int:
    """Check that a prepared file belongs to `benchmark`; returns its image size in pixels.

    Raises:
        DataError: it is missing, unreadable, or of another benchmark or robot.
    """
    with open_file(path) as file:
        found = str(file.attrs["benchmark"]), str(file.attrs["robot"])
        if found != (benchmark.name, benchmark.robot.name):
            raise DataError(
                f"{path} was prepared for benchmark '{found[0]}' and robot '{found[1]}', not "
                f"'{benchmark.name}' and '{benchmark.robot.name}'"
            )
        return int(file.attrs["image_size"])  # type: ignore[arg-type]


def _compute_tasks(settings: Settings, tasks: Mapping[str, Path], workers: int) -> None:
    count = min(workers, len(tasks))
    if count <= 1:
        with progress("statistics of tasks", len(tasks)) as advance:
            for task, path in tasks.items():
                bring_up_to_date(settings, task, path)
                advance(note=task)
        return
    # Spawned, not forked: the caller may hold threads.
    context = multiprocessing.get_context("spawn")
    with (
        _environment(_ONE_THREAD),
        ProcessPoolExecutor(
            count, mp_context=context, initializer=end_pool_worker_with_parent
        ) as executor,
        progress("statistics of tasks", len(tasks)) as advance,
    ):
        futures = {
            executor.submit(_compute_in_pool, settings, *item): item[0] for item in tasks.items()
        }
        try:
            for future in as_completed(futures):
                future.result()
                advance(note=futures[future])
        except BrokenProcessPool as error:
            raise StatisticsError(
                "a process computing statistics died (out of memory?); run again to go on"
            ) from error
        finally:
            executor.shutdown(wait=True, cancel_futures=True)


def _compute_in_pool(settings: Settings, task: str, path: Path) -> None:
    """What a process of the pool does: the result stays in the file, not in the pipe."""
    bring_up_to_date(settings, task, path)


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Set environment variables for processes that are started meanwhile."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
