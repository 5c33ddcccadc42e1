"""Result files of a folder: each by its episode, or the reason why it does not count."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from hearth.benchmark import Benchmark
from hearth.core.errors import DataError, EvaluationError, choices
from hearth.evaluation import official
from hearth.evaluation.identity import Key

_YEARS = {"omnigibson-2025": 2025, "omnigibson-2026": 2026, "household": 2026}
_RESULT_FOLDERS = ("json", "jsons", "metrics", "results")  # beside the videos of a run


@dataclass(frozen=True)
class ResultFile:
    """A result file that counts: its name without ending, its bytes, and what they say.

    `run` is the folder that its evaluator wrote to, videos included.
    """

    stem: str
    content: bytes
    result: official.OfficialResult
    run: Path


@dataclass
class ResultFiles:
    """Files by task and episode, their hashes, and every fault that was met."""

    results: dict[str, dict[Key, ResultFile]] = field(default_factory=dict)
    reasons: dict[tuple[str, Key], str] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


def collect(benchmark: Benchmark, folder: Path, table: Path | None, due: list[Key]) -> ResultFiles:
    """Read and check every result file below the folder, in the order of their names.

    Args:
        benchmark: whose tasks and year.
        folder: searched at any depth.
        table: the challenge's ``test_instances.csv``, for files of 2025.
        due: the episodes (instance, rollout) of every task.

    Raises:
        EvaluationError: there is no such folder, or the table is missing.
    """
    if not folder.is_dir():
        raise EvaluationError(f"{folder} is not a folder of results")
    numbers = official.InstanceNumbers(benchmark, table)
    collection = ResultFiles()
    contents: dict[tuple[str, Key], list[tuple[Path, bytes]]] = {}
    for path in sorted(folder.rglob("*.json")):
        try:
            task, key = _episode_of(path, benchmark, numbers, due)
            content = _read(path)
        except DataError as error:
            if official.parse_name(path.stem) or path.parent.name in _RESULT_FOLDERS:
                collection.faults.append(f"{path.relative_to(folder)}: {error}")
            continue
        contents.setdefault((task, key), []).append((path, content))
    for (task, key), found in contents.items():
        try:
            result = _checked(benchmark, found, folder)
        except DataError as error:
            reason = f"{found[0][0].relative_to(folder)}: {error}"
            collection.faults.append(reason)
            collection.reasons[task, key] = reason
            continue
        path, content = found[0]
        run = path.parent.parent if path.parent.name in _RESULT_FOLDERS else path.parent
        collection.results.setdefault(task, {})[key] = ResultFile(path.stem, content, result, run)
        collection.hashes[f"json/{path.name}"] = hashlib.sha256(content).hexdigest()
    return collection


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}") from error


def _episode_of(
    path: Path, benchmark: Benchmark, numbers: official.InstanceNumbers, due: Iterable[Key]
) -> tuple[str, Key]:
    """The episode that a file's name stands for.

    Raises:
        DataError: it stands for none that is due; says why.
    """
    name = official.parse_name(path.stem)
    if name is None:
        raise DataError("is not named <task>_<instance>_<rollout>.json")
    task, number, rollout = name
    if task not in benchmark.task_names:
        raise DataError(
            f"unknown task '{task}' in benchmark '{benchmark.name}': "
            + choices(task, benchmark.task_names)
        )
    instance = numbers.of_benchmark(task, number)
    if instance is None or not any(instance == key[0] for key in due):
        valid = sorted({numbers.in_files(task, key[0]) for key in due})
        raise DataError(f"unknown instance {number}: valid are {', '.join(map(str, valid))}")
    if (instance, rollout) not in due:
        rollouts = max(key[1] for key in due) + 1
        raise DataError(f"rollout {rollout} is not due: {rollouts} per instance (--rollouts)")
    return task, (instance, rollout)


def _checked(
    benchmark: Benchmark, found: list[tuple[Path, bytes]], folder: Path
) -> official.OfficialResult:
    path, content = found[0]
    others = [other for other, bytes_ in found[1:] if bytes_ != content]
    if others:
        # Which of the two was meant is not ours to choose: the better one would be a best-of.
        raise DataError(f"two results for one episode: also {others[0].relative_to(folder)}")
    name = official.parse_name(path.stem)
    assert name is not None
    result = official.read_official(content, name)
    year = _YEARS[benchmark.simulator]
    if result.year != year:
        raise DataError(
            f"has the form of {result.year}, but the benchmark '{benchmark.name}' reads {year}"
        )
    official.check_consistent(content, result, benchmark.time_limit(name[0]))
    return result
