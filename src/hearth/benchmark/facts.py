"""Hashes over the benchmark's facts, per stage of the workflow.

Rules take them as parameters, so that an edited benchmark file re-runs what depends on the edited
fact and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable

from hearth.benchmark.benchmark import Benchmark
from hearth.core.files import hash_json

_LAYOUT = {"name", "frames_per_second", "seed", "robot", "cameras"}


def data_facts(benchmark: Benchmark, tasks: Iterable[str], split: str | None = None) -> str:
    """What data and training of `tasks` depend on: robot, cameras, stages, instances of `split`."""
    stages = [[task.index, task.name, task.stages] for task in map(benchmark.task, tasks)]
    instances = None if split is None else benchmark.instances(split)
    return hash_json([benchmark.model_dump(mode="json", include=_LAYOUT), stages, instances])


def episode_facts(benchmark: Benchmark, task: str, split: str) -> str:
    """What the episodes of a task on a split depend on, its length and time limit included."""
    facts = benchmark.model_dump(mode="json", exclude={"splits", "tasks", "demonstrations"})
    own = benchmark.task(task).model_dump(mode="json")
    return hash_json([facts, own, benchmark.instances(split)])
