"""What was played of a task, and how long the rest may take at that pace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hearth.benchmark import Benchmark
from hearth.core.errors import EvaluationError
from hearth.core.results import Results
from hearth.core.settings import Settings
from hearth.evaluation import identity


@dataclass(frozen=True)
class Played:
    """One task of an evaluation, by its files.

    Attributes:
        task: its name.
        due, finished, crashed: episodes.
        seconds: how long each of those with a result took.
        note: what is in the way, or that all is done.
    """

    task: str
    due: int
    finished: int = 0
    crashed: int = 0
    seconds: tuple[float, ...] = ()
    note: str = ""


def look(settings: Settings, benchmark: Benchmark, evaluation: str, task: str) -> Played:
    """Read the task's episode files."""
    results = Results.of(settings)
    due = identity.due_episodes(settings, benchmark, evaluation)
    try:
        hashes = identity.hashes(settings, benchmark, evaluation, task)
    except EvaluationError:
        return Played(task, len(due), note="waits for its policy")
    paths = [results.episode(evaluation, task, *key) for key in due]
    read = [identity.read_result(path, hashes)[0] for path in paths]
    found = [result for result in read if result is not None]
    crashed = sum(result["status"] == "crashed" for result in found)
    note = ""
    if len(found) - crashed == len(due):
        merged = results.task_result(evaluation, task).exists()
        note = "finished" if merged else "to be merged"
    times = (_seconds(result) for result in found)
    seconds = tuple(time for time in times if time is not None)
    return Played(task, len(due), len(found) - crashed, crashed, seconds, note)


def _seconds(result: dict[str, Any]) -> float | None:
    """How long an episode took [s]."""
    try:
        start, end = (result["provenance"][key] for key in ("start_time", "end_time"))
        return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
    except (KeyError, TypeError, ValueError):
        return None


def expected_seconds(seen: Sequence[Played], benchmark: Benchmark) -> dict[str, float | None]:
    """How long an episode of each task will take [s]; None where none of any task was played.

    The mean of the task's own, or where it has none, the pace of the other tasks: their seconds
    per step of their time limits.
    """
    played = sum(sum(task.seconds) for task in seen)
    steps = sum(len(task.seconds) * benchmark.time_limit(task.task) for task in seen)
    pace = played / steps if steps else None
    return {
        task.task: sum(task.seconds) / len(task.seconds)
        if task.seconds
        else None if pace is None else pace * benchmark.time_limit(task.task)
        for task in seen
    }  # fmt: skip
