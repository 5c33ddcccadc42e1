"""Results of the official evaluators, played elsewhere, as an evaluation of this experiment."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from hearth.benchmark import Benchmark
from hearth.core.errors import DataError, EvaluationError, SettingsError, choices
from hearth.core.files import atomic_path, hash_json, write_bytes, write_json
from hearth.core.results import Results
from hearth.core.sections import Name
from hearth.core.selection import select_tasks
from hearth.core.settings import Settings
from hearth.evaluation import official
from hearth.evaluation.identity import Key
from hearth.evaluation.merge import missing_episode, task_result, write_merged

_YEARS = {"omnigibson-2025": 2025, "omnigibson-2026": 2026, "household": 2026}
_RESULT_FOLDERS = ("json", "jsons", "metrics")


@dataclass(frozen=True)
class Source:
    """What is imported: the folder, its name on the table, and what was due.

    Attributes:
        policy: the policy's name; evaluations of one policy count as repeated runs.
        instances: the challenge's ``test_instances.csv``, for files of 2025.
    """

    folder: Path
    name: str
    policy: str
    split: str = "public"
    rollouts: int = 1
    instances: Path | None = None


@dataclass(frozen=True)
class _File:
    """A result file that counts: its name without ending, its bytes, and what they say."""

    stem: str
    content: bytes
    result: official.OfficialResult


@dataclass
class _Collection:
    """Files by task and episode, their hashes, and every fault that was met."""

    results: dict[str, dict[Key, _File]] = field(default_factory=dict)
    reasons: dict[tuple[str, Key], str] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


def import_results(settings: Settings, benchmark: Benchmark, source: Source) -> dict[str, Any]:
    """Copy the files byte for byte, merge them per task, and write ``imported.json``.

    A file that is truncated, impossible, of another year, of an unknown task or instance, or one of
    two different results for one episode does not count; the others do, and the fault is kept.

    Returns:
        The content of ``imported.json``: `files` (hashes), `faults`, `used`, and the source.

    Raises:
        SettingsError: the name is taken or not valid, or the split is unknown.
        EvaluationError: no usable result, or the list of instances is missing.
    """
    results = Results.of(settings)
    _check_name(settings, results, source.name)
    instances = benchmark.instances(source.split)
    due = [(instance, rollout) for instance in instances for rollout in range(source.rollouts)]
    collection = _collect(benchmark, source, due)
    used = sum(map(len, collection.results.values()))
    if not used:
        first = "; ".join(collection.faults[:3]) or "it holds no <task>_<instance>_<rollout>.json"
        raise EvaluationError(f"{source.folder} has no result for '{benchmark.name}': {first}")
    videos = _copy(results, source, collection)
    for task in select_tasks(settings, benchmark.task_names):
        collection.results.setdefault(task, {})
    for task in benchmark.task_names:
        if task in collection.results:
            merged = _merge(results, benchmark, source, due, collection, task, videos)
            write_merged(results, merged, settings.report.allow_incomplete)
    record = {
        "evaluation": source.name, "policy": source.policy, "benchmark": benchmark.name,
        "split": source.split, "rollouts": source.rollouts, "used": used,
        "files": collection.hashes, "faults": collection.faults,
    }  # fmt: skip
    write_json(results.imported(source.name), record)
    return record


def _check_name(settings: Settings, results: Results, name: str) -> None:
    try:
        TypeAdapter(Name).validate_python(name)
    except ValidationError as error:
        raise SettingsError(
            f"--name '{name}': letters, digits, '_', '.', '-', the first a letter or digit"
        ) from error
    if name in settings.evaluation_names:
        raise SettingsError(f"--name '{name}' is an evaluation of this experiment; choose another")
    if results.evaluation(name).exists() and any(results.evaluation(name).iterdir()):
        raise SettingsError(
            f"--name '{name}': {results.evaluation(name)} exists; choose another name or remove it"
        )


def _collect(benchmark: Benchmark, source: Source, due: list[Key]) -> _Collection:
    """Read and check every result file below the folder, in the order of their names."""
    if not source.folder.is_dir():
        raise EvaluationError(f"{source.folder} is not a folder of results")
    numbers = official.InstanceNumbers(benchmark, source.instances)
    collection = _Collection()
    contents: dict[tuple[str, Key], list[tuple[Path, bytes]]] = {}
    for path in sorted(source.folder.rglob("*.json")):
        try:
            task, key = _episode_of(path, benchmark, numbers, due)
        except DataError as error:
            if official.parse_name(path.stem) or path.parent.name in _RESULT_FOLDERS:
                collection.faults.append(f"{path.relative_to(source.folder)}: {error}")
            continue
        contents.setdefault((task, key), []).append((path, path.read_bytes()))
    for (task, key), found in contents.items():
        try:
            result = _checked(benchmark, found, source.folder)
        except DataError as error:
            reason = f"{found[0][0].relative_to(source.folder)}: {error}"
            collection.faults.append(reason)
            collection.reasons[task, key] = reason
            continue
        path, content = found[0]
        collection.results.setdefault(task, {})[key] = _File(path.stem, content, result)
        collection.hashes[f"json/{path.name}"] = hashlib.sha256(content).hexdigest()
    return collection


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


def _copy(results: Results, source: Source, collection: _Collection) -> dict[str, str]:
    """Copy results and videos; returns file name without ending -> video below the results root."""
    target = results.official(source.name)
    found = {path.stem: path for path in sorted(source.folder.rglob("*.mp4"))}
    videos, without = {}, []
    for file in [file for episodes in collection.results.values() for file in episodes.values()]:
        write_bytes(target / "json" / f"{file.stem}.json", file.content)
        if file.stem not in found:
            without.append(file.stem)
            continue
        video = target / "videos" / f"{file.stem}.mp4"
        with atomic_path(video) as temporary:
            shutil.copyfile(found[file.stem], temporary)
        with video.open("rb") as handle:
            digest = hashlib.file_digest(handle, "sha256").hexdigest()
        collection.hashes[f"videos/{video.name}"] = digest
        videos[file.stem] = video.relative_to(results.root).as_posix()
    if without and not videos:
        collection.faults.append(f"no video of any of the {len(without)} results")
    else:
        collection.faults.extend(f"{stem}: the video is missing" for stem in without)
    return videos


def _merge(
    results: Results,
    benchmark: Benchmark,
    source: Source,
    due: list[Key],
    collection: _Collection,
    task: str,
    videos: Mapping[str, str],
) -> dict[str, Any]:
    found = collection.results[task]
    episodes = []
    for key in due:
        if key in found:
            file = found[key]
            record = results.official(source.name) / "json" / f"{file.stem}.json"
            entry = _entry(benchmark, task, key, file.result)
            entry["video"] = videos.get(file.stem)
            entry["record"] = record.relative_to(results.root).as_posix()
            episodes.append(entry)
        else:
            reason = collection.reasons.get((task, key), "no result was imported")
            episodes.append(missing_episode(key, reason))
    header = {
        "evaluation": source.name,
        "task": task,
        "split": source.split,
        "policy": source.policy,
        "time_limit_factor": benchmark.time_limit_factor,
        "policy_hash": hash_json(["imported", source.policy]),
        "config_hash": hash_json(["imported", benchmark.name]),
    }
    return task_result(header, due, episodes)


def _entry(
    benchmark: Benchmark, task: str, key: Key, result: official.OfficialResult
) -> dict[str, Any]:
    """One episode's line. Scores are taken as they stand; the status is what follows from them."""
    return {
        "instance_id": key[0],
        "rollout_id": key[1],
        "status": official.status(result, benchmark.time_limit(task)),
        "q": result.q,
        "success": result.q == 1.0,
        "steps": result.steps,
        "normalized_time": result.normalized_time,
        # JSON has no infinity; a part that never moved has an infinite ratio.
        "normalized_agent_distance": {
            part: "Infinity" if value == float("inf") else value
            for part, value in result.normalized_distance.items()
        },
        "reason": result.failure_reason,
    }
