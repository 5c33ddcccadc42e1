"""Merged task results from their files: read, checked, and never repaired in silence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hearth.core.errors import DataError, choices
from hearth.core.files import hash_file, read_json
from hearth.core.results import Results
from hearth.reporting.files import Files, missing_videos
from hearth.reporting.merged import (
    ABSENT,
    DISTANCES,
    STATUSES,
    Episode,
    Evaluation,
    Goal,
    TaskResult,
)

_FAULTS_SHOWN = 20  # of an imported evaluation; its imported.json has them all


def load_evaluation(
    root: Path | str, name: str, tasks: Sequence[str], benchmark: str | None = None
) -> Evaluation:
    """Read one evaluation's merged results for `tasks`.

    A file that is missing or faulty does not stop the others: its task is absent (it scores zero)
    and the fault stands in `faults`, as do videos that are not there.

    Args:
        benchmark: of the table; what was imported for another one counts as absent.
    """
    marker = Results(Path(root)).imported(name)
    if marker.is_file() and (other := _other_benchmark(marker, name, benchmark)):
        return Evaluation(name, "unknown", {}, tuple(tasks), (other,), imported=True)
    results: dict[str, TaskResult] = {}
    faults: list[str] = []
    split = ""
    for task in tasks:
        try:
            result = load_task_result(Results(Path(root)).merged_result(name, task), name, task)
            split = split or result.split
            if result.split != split:
                raise DataError(
                    f"{name}/{task}.json is of split '{result.split}', other tasks of "
                    f"'{name}' are of '{split}': evaluate '{task}' again"
                )
            results[task] = result
        except DataError as error:
            faults.append(fault_text(error, root))
    absent = tuple(task for task in tasks if task not in results)
    if marker.is_file():
        faults += _import_faults(marker, name, root)
    videos = (episode.video for result in results.values() for episode in result.episodes)
    faults += missing_videos(Files(Path(root)), name, videos)
    return Evaluation(
        name, split or "unknown", results, absent, tuple(faults), imported=marker.is_file()
    )


def _other_benchmark(marker: Path, name: str, benchmark: str | None) -> str:
    """What is wrong if the results were imported for another benchmark, such as another year's."""
    try:
        found = read_json(marker)["benchmark"]
    except (DataError, KeyError, TypeError):
        return ""  # named with the other faults of the marker
    if benchmark is None or found == benchmark:
        return ""
    return f"{name}: imported for '{found}', but this table is of '{benchmark}'; import it again"


def _import_faults(marker: Path, name: str, root: Path | str) -> list[str]:
    """What was wrong with the files that were imported, the first of many."""
    try:
        found = [f"{name}: {fault}" for fault in read_json(marker)["faults"]]
    except (DataError, KeyError, TypeError) as error:
        return [fault_text(DataError(f"{marker} cannot be read: {error}"), root)]
    more = len(found) - _FAULTS_SHOWN
    rest = [f"{name}: {more} more in evaluation/{name}/imported.json"] if more > 0 else []
    return found[:_FAULTS_SHOWN] + rest


def fault_text(error: DataError, root: Path | str) -> str:
    """The message with paths relative to the results root: the same on every machine."""
    return str(error).replace(f"{Path(root)}/", "")


def load_task_result(path: Path | str, evaluation: str, task: str) -> TaskResult:
    """Read and check one merged task result.

    Raises:
        DataError: missing, not JSON, of another task, or with an impossible entry.
    """
    path = Path(path)
    values = read_json(path)
    try:
        return _task_result(values, evaluation, task, hash_file(path))
    except (KeyError, TypeError, ValueError) as error:
        reason = f"no key {error}" if isinstance(error, KeyError) else str(error)
        raise DataError(f"{path} is not a merged task result: {reason}") from error


def _task_result(values: Any, evaluation: str, task: str, source_hash: str) -> TaskResult:
    if not isinstance(values, dict):
        raise ValueError(f"expected a mapping, found {type(values).__name__}")
    for key, wanted in (("evaluation", evaluation), ("task", task)):
        if values[key] != wanted:
            raise ValueError(f"{key} is '{values[key]}', expected '{wanted}'")
    due = [(int(instance), int(rollout)) for instance, rollout in values["instances_due"]]
    if not due:
        raise ValueError("instances_due is empty")
    _check_unique(due, "instances_due names")
    found = [_episode(item) for item in values["episodes"]]
    _check_unique([episode.key for episode in found], "two results for")
    by_key = {episode.key: episode for episode in found}
    for key in by_key:
        if key not in due:
            raise ValueError(f"episode {key[0]}_{key[1]} is not among instances_due")
    rollouts = {instance: sum(key[0] == instance for key in due) for instance, _ in due}
    if len(set(rollouts.values())) > 1:
        raise ValueError("instances_due gives some instances more rollouts than others")
    episodes = tuple(by_key.get(key) or Episode(*key, "missing", 0.0) for key in sorted(due))
    names = {key: str(values[key]) for key in ("split", "policy", "policy_hash", "config_hash")}
    factor = _number(values.get("time_limit_factor", 2.0), "time_limit_factor")
    if factor <= 1.0:
        raise ValueError(f"time_limit_factor is {factor}; valid are numbers above 1")
    return TaskResult(
        task=task, episodes=episodes, source_hash=source_hash, time_limit_factor=factor, **names
    )


def _check_unique(keys: list[tuple[int, int]], what: str) -> None:
    seen: set[tuple[int, int]] = set()
    for key in keys:
        if key in seen:
            raise ValueError(f"{what} episode {key[0]}_{key[1]} twice")
        seen.add(key)


def _episode(item: dict[str, Any]) -> Episode:
    name = f"{item['instance_id']}_{item['rollout_id']}"
    status = item["status"]
    if status not in STATUSES:
        raise ValueError(f"episode {name} has status '{status}': {choices(status, STATUSES)}")
    key = int(item["instance_id"]), int(item["rollout_id"])
    if status in ABSENT:
        reason = str(item.get("reason") or "")
        return Episode(*key, status, 0.0, video=item.get("video"), reason=reason)
    q = _number(item["q"], f"q of episode {name}")
    if not 0.0 <= q <= 1.0:
        raise ValueError(f"q of episode {name} is {q}; valid are numbers in [0, 1]")
    distances = item.get("normalized_agent_distance") or {}
    return Episode(
        *key,
        status=status,
        q=q,
        steps=None if item.get("steps") is None else int(item["steps"]),
        normalized_time=_optional(item.get("normalized_time"), f"time of episode {name}"),
        normalized_distance={
            part: _distance(distances[part], f"{part} distance of episode {name}")
            for part in DISTANCES
            if distances.get(part) is not None
        },
        video=item.get("video"),
        record=item.get("record"),
        trace=item.get("trace"),
        reason=str(item.get("reason") or ""),
        goals=tuple(
            Goal(str(goal["text"]), bool(goal["initially"]), bool(goal["now"]))
            for goal in item.get("goals") or ()
        ),
    )


def _distance(value: Any, what: str) -> float:
    return math.inf if value == "Infinity" else _number(value, what)


def _optional(value: Any, what: str) -> float | None:
    return None if value is None else _number(value, what)


def _number(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{what} is {value!r}; valid are finite numbers")
    return float(value)
