"""The folder that the challenge takes: official result files as they were written, and checks."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hearth.benchmark import Benchmark
from hearth.core.errors import DataError, EvaluationError, choices
from hearth.core.files import atomic_path, read_json, write_text
from hearth.core.results import Results
from hearth.core.selection import select_tasks
from hearth.core.settings import Settings
from hearth.evaluation import identity, official
from hearth.reporting.merged import ABSENT

TRACKS = ("standard", "privileged")
_TEST_SETS = ("public", "hidden")
_FIELD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")  # dots part the fields of the folder's name
SUMS = "SHA256SUMS"
_SHOWN = 10  # names listed of a long list of gaps


@dataclass(frozen=True)
class Submission:
    """Who submits what: the fields of the folder's name and the files beside the results."""

    evaluation: str
    team: str
    affiliation: str
    date: str
    track: str = "standard"
    wrappers: tuple[Path, ...] = ()
    robot: Path | None = None
    readme: Path | None = None


@dataclass(frozen=True)
class Written:
    """The folder, the number of results in it, and what the challenge would miss."""

    folder: Path
    results: int
    missing: tuple[str, ...]


def write_submission(
    settings: Settings,
    benchmark: Benchmark,
    submission: Submission,
    output: Path,
    *,
    replace: bool = False,
) -> Written:
    """Write ``<track>.<testset>.<team>.<affiliation>.<date>/`` below `output` and check it.

    A file that is not what the evaluator wrote, or one rollout of several, stays out: it is listed,
    like everything else that lacks. The folder appears when it is whole.

    Args:
        replace: write an existing folder anew, unless it is another than was written.

    Raises:
        EvaluationError: no official benchmark, no official files, an impossible field, or the
            folder exists.
    """
    if not benchmark.simulator.startswith("omnigibson"):
        raise EvaluationError(
            f"benchmark '{benchmark.name}' has no official submission; valid are those of "
            "OmniGibson: behavior-2025, behavior-2026"
        )
    results = Results.of(settings)
    record = _record(settings, benchmark, submission.evaluation)
    folder = output / _folder_name(submission, record["split"])
    _check_room(folder, replace)
    missing = _rollout_faults(record) + _gaps(results, benchmark, record)
    writing = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(writing, ignore_errors=True)  # of one that was killed
    writing.mkdir(parents=True)
    count = _copy_results(results, submission.evaluation, record["files"], writing, missing)
    _copy_others(submission, writing, missing)
    write_text(writing / SUMS, _sums(writing))
    if folder.exists():
        shutil.rmtree(folder)
    writing.rename(folder)
    return Written(folder, count, tuple(missing))


def _check_room(folder: Path, replace: bool) -> None:
    """Refuse to write over a folder, or over one that people changed."""
    if not folder.exists():
        return
    if not replace:
        raise EvaluationError(f"{folder} exists; remove it or give another --date")
    sums = folder / SUMS
    if not sums.is_file() or sums.read_text() != _sums(folder):
        raise EvaluationError(
            f"{folder} is not as it was written ({SUMS} says otherwise), so it is not replaced; "
            "remove it or give another --date"
        )


def _record(settings: Settings, benchmark: Benchmark, evaluation: str) -> dict[str, Any]:
    """What was recorded when the official files came in: their hashes, the split, the faults."""
    results = Results.of(settings)
    path = results.imported(evaluation)
    if not path.is_file() and evaluation in settings.evaluation_names:
        return _played(settings, benchmark, evaluation)
    if not path.is_file():
        raise EvaluationError(
            f"evaluation '{evaluation}' has no official result files (no {path}); bring the "
            "evaluator's folder in with `hearth import-results`: "
            + choices(evaluation, [*settings.evaluation_names, *results.imported_evaluations()])
        )
    record = read_json(path)
    for key in ("benchmark", "split", "rollouts", "files", "faults"):
        if key not in record:
            raise DataError(f"{path} has no '{key}'; import the results again")
    return record


def _played(settings: Settings, benchmark: Benchmark, evaluation: str) -> dict[str, Any]:
    """The same for an evaluation of this experiment: its finished episodes carry the hashes."""
    wanted, results = settings.evaluation(evaluation), Results.of(settings)
    files = {}
    for task in select_tasks(settings, benchmark.task_names):
        hashes = identity.hashes(settings, benchmark, evaluation, task)
        for key in identity.due_episodes(settings, benchmark, evaluation):
            result, _ = identity.read_result(results.episode(evaluation, task, *key), hashes)
            official_files = (result or {}).get("official")
            if official_files is None:
                continue
            for place, digest in (("file", "sha256"), ("video", "video_sha256")):
                if official_files[place] is not None:
                    files[official_files[place].removeprefix("official/")] = official_files[digest]
    return {
        "evaluation": evaluation, "benchmark": benchmark.name, "split": wanted.split,
        "rollouts": wanted.rollouts, "files": files, "faults": [],
    }  # fmt: skip


def _folder_name(submission: Submission, split: str) -> str:
    if submission.track not in TRACKS:
        raise EvaluationError(f"--track '{submission.track}': {choices(submission.track, TRACKS)}")
    if split not in _TEST_SETS:
        raise EvaluationError(f"split '{split}' is not submitted: {choices(split, _TEST_SETS)}")
    fields = [submission.track, split]
    for option in ("team", "affiliation", "date"):
        value = getattr(submission, option).replace(" ", "_")
        if not _FIELD.fullmatch(value):
            raise EvaluationError(
                f"--{option} '{getattr(submission, option)}': letters, digits, '_', '-' and spaces"
            )
        fields.append(value)
    if not re.fullmatch(r"\d{8}", fields[-1]):
        raise EvaluationError(f"--date '{submission.date}': write YYYYMMDD")
    return ".".join(fields)


def _rollout_faults(record: Mapping[str, Any]) -> list[str]:
    """One rollout per instance, none picked among several."""
    faults = []
    if record["rollouts"] != 1:
        faults.append(
            f"{record['rollouts']} rollouts per instance: the challenge takes one; rollout 0 is "
            "submitted, not the best"
        )
    faults += [fault for fault in record["faults"] if "two results for one episode" in fault]
    return faults


def _gaps(results: Results, benchmark: Benchmark, record: Mapping[str, Any]) -> list[str]:
    """Instances whose rollout 0, the one that is taken, has no result: each counts as zero."""
    instances = benchmark.instances(record["split"])
    absent = []
    for task in benchmark.task_names:
        path = results.merged_result(record["evaluation"], task)
        merged = read_json(path) if path.is_file() else {"episodes": []}
        first = {e["instance_id"]: e["status"] for e in merged["episodes"] if e["rollout_id"] == 0}
        for instance in instances:
            status = first.get(instance, "missing")
            if status in ABSENT:
                absent.append(f"{task} {instance}" + " (crashed)" * (status == "crashed"))
    if not absent:
        return []
    due = len(instances) * len(benchmark.task_names)
    return [f"{len(absent)} of {due} results (each counts as zero): {_some(absent)}"]


def _some(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _copy_results(
    results: Results, evaluation: str, hashes: Mapping[str, str], folder: Path, missing: list[str]
) -> int:
    """Copy the results and videos that are unchanged; returns the number of results."""
    source = results.official(evaluation)
    changed, films, count = [], [], 0
    for name in sorted(hashes):
        parsed = official.parse_name(Path(name).stem)
        if parsed is None or parsed[2] != 0:
            continue
        if not _copy_unchanged(source / name, hashes[name], folder / name):
            changed.append(name)
        elif name.startswith("json/"):
            count += 1
            if f"videos/{Path(name).stem}.mp4" not in hashes:
                films.append(Path(name).stem)
    if changed:
        missing.append(f"changed or removed since they were imported, left out: {_some(changed)}")
    if films:
        missing.append(f"videos of {len(films)} results: {_some(films)}")
    return count


def _copy_unchanged(source: Path, digest: str, target: Path) -> bool:
    """Copy a file if its SHA-256 is still `digest`."""
    if not source.is_file():
        return False
    with source.open("rb") as handle:
        if hashlib.file_digest(handle, "sha256").hexdigest() != digest:
            return False
    _copy(source, target)
    return True


def _copy(source: Path, target: Path) -> None:
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)


def _copy_others(submission: Submission, folder: Path, missing: list[str]) -> None:
    """Wrapper code, robot configuration and README, each checked for its kind."""
    _copy_one(submission.readme, folder / "README.md", (".md", ".txt"), "README", missing)
    robot = submission.robot
    target = folder / "robot_config" / (robot.name if robot else "")
    _copy_one(robot, target, (".yaml", ".yml", ".json"), "robot-config", missing)
    if not submission.wrappers:
        missing.append("wrapper code (--wrapper FILE.py)")
    for wrapper in submission.wrappers:
        _copy_one(wrapper, folder / "wrapper" / wrapper.name, (".py",), "wrapper", missing)


def _copy_one(
    source: Path | None, target: Path, endings: Sequence[str], what: str, missing: list[str]
) -> None:
    if source is None:
        missing.append(f"{what} (--{what.lower()} FILE)")
    elif source.suffix not in endings:
        missing.append(f"{what}: {source} is not a {' or '.join(endings)} file")
    elif not source.is_file() or not source.stat().st_size:
        missing.append(f"{what}: {source} does not exist or is empty")
    else:
        _copy(source, target)


def _sums(folder: Path) -> str:
    """The text of `SUMS`: all other files, so that the receiver can check that they arrived."""
    lines = []
    for path in sorted(item for item in folder.rglob("*") if item.is_file()):
        if path == folder / SUMS:
            continue
        with path.open("rb") as handle:
            digest = hashlib.file_digest(handle, "sha256").hexdigest()
        lines.append(f"{digest}  {path.relative_to(folder).as_posix()}\n")
    return "".join(lines)
