"""Demonstrations by the scripted experts, recorded into a LeRobot data set.

Experts (simulation) and the data set writer (data) do not know each other; they meet here, in
the `cli` layer.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from hearth.benchmark import Benchmark
from hearth.core.changes import differences
from hearth.core.data_sections import DemonstrationSettings
from hearth.core.errors import DataError
from hearth.core.files import hash_json, read_json, write_json
from hearth.core.lifetime import end_pool_worker_with_parent
from hearth.core.progress import progress
from hearth.core.results import Results
from hearth.core.seeds import integer
from hearth.core.selection import select_tasks
from hearth.core.settings import Settings

# An expert that needs more tries than this is broken; the marker would hide it.
_LARGEST_FAILURE_SHARE = 0.25
_ATTEMPTS = 20  # per episode


def record_task(settings: Settings, benchmark: Benchmark, task: str, *, workers: int) -> None:
    """Record the wanted number of successful demonstrations of `task`, resumable per episode.

    Episode n is recorded on training instance n modulo their number with a seed of its own; a
    failed try is counted and replaced by the next seed of the same episode.

    Raises:
        DataError: there is nothing to record, the recipe changed for existing demonstrations of a
            protected experiment, or the expert fails too often.
    """
    section = _section(settings)
    results = Results.of(settings)
    recipe = recipe_of(settings, benchmark, task)
    wanted = section.episodes(task)
    _keep_or_discard(settings, results, benchmark, task, recipe)
    jobs = [(settings, benchmark, task, number) for number in range(wanted)]
    entries = []
    with progress(f"recording {task}", wanted) as advance:
        for entry in _run(jobs, workers):
            entries.append(entry)
            advance()
    _drop_surplus(results, benchmark, task, entries)
    attempts = sum(entry["attempts"] for entry in entries)
    marker = {
        "task": task,
        "recipe": recipe,
        "episodes": sorted(entries, key=lambda entry: entry["episode_index"]),
        "attempts": attempts,
        "failures": attempts - wanted,
        "mean_length": sum(entry["length"] for entry in entries) / wanted,
    }
    if marker["failures"] > _LARGEST_FAILURE_SHARE * attempts:
        raise DataError(f"the expert of {task} failed {marker['failures']} of {attempts} tries")
    write_json(results.demonstrations(task), marker)
    print(
        f"{task}: {wanted} demonstrations, mean length {marker['mean_length']:.0f} frames, "
        f"{marker['failures']} failed tries replaced"
    )


def write_dataset_index(settings: Settings, benchmark: Benchmark) -> None:
    """Write the data set's meta files from the markers of all tasks."""
    from hearth.data.lerobot.writer import write_index

    results = Results.of(settings)
    entries = []
    for task in select_tasks(settings, benchmark.task_names):
        entries += read_json(results.demonstrations(task))["episodes"]
    section = _section(settings)
    write_index(results.dataset, benchmark, entries, image_size=section.image_size)


def _section(settings: Settings) -> DemonstrationSettings:
    if settings.demonstrations is None:
        raise DataError(
            "this configuration takes its demonstrations from data.dataset "
            f"({settings.data.dataset}); there is nothing to record"
        )
    return settings.demonstrations


def recipe_of(settings: Settings, benchmark: Benchmark, task: str) -> dict[str, Any]:
    """What the recorded bytes depend on."""
    section = _section(settings)
    return {
        "robot": hash_json(benchmark.robot.model_dump(mode="json")),
        "cameras": hash_json({name: c.model_dump() for name, c in benchmark.cameras.items()}),
        "instances": [benchmark.name, benchmark.seed, *benchmark.instances("train")],
        "action_noise": section.action_noise,
        "image_size": section.image_size,
        "seed": settings.seed,
    }


def _keep_or_discard(
    settings: Settings, results: Results, benchmark: Benchmark, task: str, recipe: dict[str, Any]
) -> None:
    """Recordings of another recipe are discarded, or refused where the experiment is protected."""
    from hearth.data.lerobot.writer import DatasetWriter

    changed = recorded_otherwise(settings, benchmark, task)
    if changed:
        if settings.protect:
            raise DataError(
                f"demonstrations of {task} were recorded with other settings, which 'protect' "
                "keeps:\n" + "\n".join(f"  {line}" for line in changed) + "\nEither choose a new "
                "experiment name, or let the old recordings go with: --set protect=false"
            )
        DatasetWriter(results.dataset, benchmark).discard_task(task)
    write_json(_recipe_path(results, task), recipe)


def recorded_otherwise(settings: Settings, benchmark: Benchmark, task: str) -> list[str]:
    """What now differs from the recipe that the task's demonstrations were recorded with."""
    path = _recipe_path(Results.of(settings), task)
    return (
        differences(read_json(path), recipe_of(settings, benchmark, task)) if path.exists() else []
    )


def _recipe_path(results: Results, task: str) -> Path:
    return results.root / "demonstrations" / f".{task}.recipe.json"


def _drop_surplus(
    results: Results, benchmark: Benchmark, task: str, entries: list[dict[str, Any]]
) -> None:
    """Remove the tables of episodes that an earlier recording wanted and this one does not."""
    from hearth.data.lerobot import layout

    wanted = {
        layout.episode_path(results.dataset, layout.DATA_PATH, entry["episode_index"])
        for entry in entries
    }
    for table in next(iter(wanted)).parent.glob("*.parquet"):
        if table not in wanted:
            table.unlink()


def _run(jobs: list[Any], workers: int) -> Iterator[dict[str, Any]]:
    if workers <= 1:
        yield from map(_record_episode, jobs)
        return
    # Spawned, not forked: the simulator's GL context does not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        workers, mp_context=context, initializer=end_pool_worker_with_parent
    ) as pool:
        try:
            yield from pool.map(_record_episode, jobs)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _record_episode(job: tuple[Settings, Benchmark, str, int]) -> dict[str, Any]:
    from hearth.data.lerobot.writer import DatasetWriter
    from hearth.simulation.household.demonstrate import demonstrate

    settings, benchmark, task, number = job
    section = _section(settings)
    writer = DatasetWriter(Results.of(settings).dataset, benchmark)
    index = benchmark.task(task).index
    seeds = [integer(settings.seed, "demonstrations", index, number, n) for n in range(_ATTEMPTS)]
    existing = writer.entry(task, number)
    if existing is not None:
        return existing
    instances = benchmark.instances("train")
    instance = instances[number % len(instances)]
    for attempts, seed in enumerate(seeds, start=1):
        demonstration = demonstrate(
            task, benchmark, instance, seed, section.image_size, section.action_noise
        )
        if demonstration.success:
            return writer.write_episode(demonstration, number, attempts=attempts)
    raise DataError(f"the expert of {task} failed {_ATTEMPTS} times on instance {instance}")
