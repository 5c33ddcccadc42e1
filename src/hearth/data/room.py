"""What the demonstrations of all tasks of an experiment come to: codec, size, room on the disk."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

from hearth.benchmark import Benchmark, experiment_benchmark
from hearth.core.errors import DataError
from hearth.core.results import Results
from hearth.core.selection import select_tasks
from hearth.core.settings import Settings
from hearth.data.estimate import Estimate, check_disk, estimate
from hearth.data.lerobot import open_dataset


def dataset_folder(settings: Settings) -> Path:
    """The LeRobot folder of an experiment: the one it names, or the experts' own."""
    if settings.data.dataset:
        return Path(settings.data.dataset)
    return Results.of(settings).dataset


def frames_of_tasks(settings: Settings, benchmark: Benchmark) -> dict[str, int]:
    """Table rows of every task of the experiment that is in the data set (yet)."""
    root = dataset_folder(settings)
    shared = open_dataset(root, benchmark) if (root / "meta" / "info.json").is_file() else None
    frames = {}
    for task in select_tasks(settings, benchmark.task_names):
        with contextlib.suppress(DataError):
            dataset = shared or open_dataset(root, benchmark, task)
            frames[task] = sum(dataset.length(episode) for episode in dataset.episodes(task))
    return frames


def estimate_experiment(settings: Settings, benchmark: Benchmark) -> Estimate:
    """The size of all tasks of the experiment together, which decides the codec of each."""
    frames = frames_of_tasks(settings, benchmark)
    return estimate(settings.data, sum(frames.values()), len(benchmark.cameras))


def check_room(settings: Settings, tasks: Sequence[str]) -> None:
    """Print the experiment's estimate, and check the room for those of `tasks` that are not done.

    Raises:
        DataError: there is less; the message names what is needed and what is free.
    """
    benchmark, results = experiment_benchmark(settings), Results.of(settings)
    frames, cameras = frames_of_tasks(settings, benchmark), len(benchmark.cameras)
    whole = estimate(settings.data, sum(frames.values()), cameras)
    data = settings.data.model_copy(update={"codec": whole.codec})
    due = [task for task in tasks if task in frames and not results.prepared(task).is_file()]
    if not due:
        return
    print(whole.describe(settings.experiment), file=sys.stderr)
    sizes = [estimate(data, frames[task], cameras).bytes for task in due]
    folder = results.episodes(due[0]).parent
    folder.mkdir(parents=True, exist_ok=True)
    # What an interrupted call left behind need not be written again.
    written = sum(part.stat().st_size for part in folder.glob(".*.parts/*.h5"))
    check_disk(folder, max(0, sum(sizes) - written), twice=max(sizes))
