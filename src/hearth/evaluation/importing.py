"""Results of the official evaluators, played elsewhere, as an evaluation of this experiment."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from hearth.benchmark import Benchmark
from hearth.core.errors import DataError, EvaluationError, SettingsError, choices
from hearth.core.files import atomic_path, hash_json, write_bytes, write_json
from hearth.core.locks import alone
from hearth.core.results import Results
from hearth.core.sections import Name
from hearth.core.selection import select_tasks
from hearth.core.settings import Settings
from hearth.evaluation import official
from hearth.evaluation.identity import Key
from hearth.evaluation.merge import missing_episode, task_result, write_merged
from hearth.evaluation.result_files import ResultFile, ResultFiles, collect

_NO_VIDEO = "the video is missing"


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

    @classmethod
    def of(cls, settings: Settings, name: str) -> Source:
        """The section ``imports.<name>``. Raises SettingsError with the valid names."""
        if name not in settings.imports:
            raise SettingsError(
                f"--name '{name}' without a folder: the experiment has no such section in "
                f"'imports': {choices(name, settings.imports)}"
            )
        section = settings.imports[name]
        return cls(
            folder=Path(section.folder).expanduser(), name=name, policy=section.policy or name,
            split=section.split, rollouts=section.rollouts,
            instances=Path(section.instances).expanduser() if section.instances else None,
        )  # fmt: skip


def import_results(
    settings: Settings, benchmark: Benchmark, source: Source, *, replace: bool = False
) -> dict[str, Any]:
    """Copy the files byte for byte, merge them per task, and write ``imported.json``.

    The marker comes last: an import that was killed is no evaluation yet and begins again. A file
    that is truncated, impossible, of another year, of an unknown task or instance, or one of two
    different results for one episode does not count; the others do, and the fault is kept.

    Args:
        settings, benchmark: of the experiment.
        source: what is imported.
        replace: take the place of an earlier import of this name; labels stay.

    Returns:
        The content of ``imported.json``: `files` (hashes), `faults`, `used`, and the source.

    Raises:
        SettingsError: the name is taken or not valid, or the split is unknown.
        EvaluationError: no usable result, or the list of instances is missing.
    """
    results = Results.of(settings)
    with alone(results.lock("import", source.name), f"importing '{source.name}'"):
        _check_name(settings, results, source.name, replace)
        place = results.evaluation(source.name).resolve()
        if place in (source.folder.resolve(), *source.folder.resolve().parents):
            raise SettingsError(f"{source.folder} is where '{source.name}' itself is kept")
        return _import(settings, benchmark, source)


def _import(settings: Settings, benchmark: Benchmark, source: Source) -> dict[str, Any]:
    results = Results.of(settings)
    instances = benchmark.instances(source.split)
    due = [(instance, rollout) for instance in instances for rollout in range(source.rollouts)]
    collection = collect(benchmark, source.folder, source.instances, due)
    used = sum(map(len, collection.results.values()))
    if not used:
        first = "; ".join(collection.faults[:3]) or "it holds no <task>_<instance>_<rollout>.json"
        raise EvaluationError(f"{source.folder} has no result for '{benchmark.name}': {first}")
    videos = _copy(results, source, collection)
    _remove(results, benchmark, source.name)
    _arriving(results, source.name).rename(results.official(source.name))
    for task in select_tasks(settings, benchmark.task_names):
        collection.results.setdefault(task, {})
    for task in benchmark.task_names:
        if task in collection.results:
            merged = _merge(results, benchmark, source, due, collection, task, videos)
            write_merged(results, merged, settings.report.allow_incomplete)
    record = {
        "evaluation": source.name, "policy": source.policy, "benchmark": benchmark.name,
        "folder": str(source.folder), "split": source.split, "rollouts": source.rollouts,
        "used": used,
        "files": collection.hashes, "faults": collection.faults,
    }  # fmt: skip
    write_json(results.imported(source.name), record)
    return record


def _check_name(settings: Settings, results: Results, name: str, replace: bool) -> None:
    try:
        TypeAdapter(Name).validate_python(name)
    except ValidationError as error:
        raise SettingsError(
            f"--name '{name}': letters, digits, '_', '.', '-', the first a letter or digit"
        ) from error
    if name in settings.evaluation_names:
        raise SettingsError(f"--name '{name}' is an evaluation of this experiment; choose another")
    folder = results.evaluation(name)
    found = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    # Without the marker an import did not come to its end, and begins again.
    if results.imported(name).exists() and not replace:
        raise SettingsError(f"--name '{name}': {folder} exists; choose another name or remove it")
    if played := found & {"episodes", "settings", "claims"}:
        raise SettingsError(
            f"--name '{name}': {folder} holds an evaluation that was played here "
            f"({', '.join(sorted(played))}); choose another name"
        )


def _remove(results: Results, benchmark: Benchmark, name: str) -> None:
    """Remove an earlier import, the marker first."""
    results.imported(name).unlink(missing_ok=True)
    for task in benchmark.task_names:
        results.task_result(name, task).unlink(missing_ok=True)
        results.incomplete_result(name, task).unlink(missing_ok=True)
    if results.official(name).exists():
        shutil.rmtree(results.official(name))


def _arriving(results: Results, name: str) -> Path:
    """Where files are copied to; an earlier import stays until all are there."""
    return results.official(name).with_name("official.new")


def _copy(results: Results, source: Source, collection: ResultFiles) -> dict[str, str]:
    """Copy results and videos; returns file name without ending -> video below the results root."""
    target = _arriving(results, source.name)
    if target.exists():
        shutil.rmtree(target)
    films = _films(source.folder)
    videos, faults = {}, {}
    for file in [file for episodes in collection.results.values() for file in episodes.values()]:
        write_bytes(target / "json" / f"{file.stem}.json", file.content)
        try:
            film = _film_of(file, films)
            digest = _copy_film(film, target / "videos" / f"{file.stem}.mp4")
        except DataError as error:
            faults[file.stem] = str(error)
            continue
        collection.hashes[f"videos/{file.stem}.mp4"] = digest
        video = results.official(source.name) / "videos" / f"{file.stem}.mp4"
        videos[file.stem] = video.relative_to(results.root).as_posix()
    if set(faults.values()) == {_NO_VIDEO} and not videos:
        collection.faults.append(f"no video of any of the {len(faults)} results")
    else:
        collection.faults.extend(f"{stem}: {fault}" for stem, fault in faults.items())
    return videos


def _films(folder: Path) -> dict[str, list[Path]]:
    """All videos by their names without ending."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*.mp4")):
        if path.is_file():
            found.setdefault(path.stem, []).append(path)
    return found


def _film_of(file: ResultFile, films: Mapping[str, list[Path]]) -> Path:
    """The video of a result: of the same run, since another run's shows another episode.

    Raises:
        DataError: there is none, or more than one.
    """
    mine = [film for film in films.get(file.stem, []) if film.is_relative_to(file.run)]
    if not mine:
        raise DataError(_NO_VIDEO)
    if len(mine) > 1:
        places = ", ".join(film.relative_to(file.run).as_posix() for film in mine)
        raise DataError(f"the run has more than one video of it: {places}")
    return mine[0]


def _copy_film(film: Path, target: Path) -> str:
    """Copy a video; its SHA-256. Raises DataError where it cannot be read."""
    try:
        source = film.open("rb")
    except OSError as error:
        raise DataError(f"the video cannot be read: {error.strerror or error}") from error
    with source, atomic_path(target) as temporary, temporary.open("wb") as handle:
        shutil.copyfileobj(source, handle)
    with target.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _merge(
    results: Results,
    benchmark: Benchmark,
    source: Source,
    due: list[Key],
    collection: ResultFiles,
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
