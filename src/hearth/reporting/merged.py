"""Merged task results as values: read, checked, and never repaired in silence."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hearth.core.errors import DataError, choices
from hearth.core.files import hash_file, read_json
from hearth.core.results import Results
from hearth.reporting.files import Files, missing_videos

STATUSES = ("success", "timeout", "failure", "crashed", "missing")
ABSENT = ("crashed", "missing")  # no official result stands behind these: they score zero
DISTANCES = ("base", "left", "right")
_FAULTS_SHOWN = 20  # of an imported evaluation; its imported.json has them all


@dataclass(frozen=True)
class Goal:
    """A ground goal literal, and whether it held at the start and at the end of the episode."""

    text: str
    initially: bool
    now: bool


@dataclass(frozen=True)
class Episode:
    """One episode that was due. Scores of crashed and missing episodes are zero.

    Attributes:
        status: one of `STATUSES`.
        q: share of the goal literals newly true, in [0, 1]; 1 is success.
        steps: simulator steps, None where unknown.
        normalized_time: human steps over policy steps, None where unknown.
        normalized_distance: the same ratio for the paths of base, left and right hand, infinite
            for a part that never moved.
        video: path relative to the results root, None where none was to be made.
        record: the same for the result file, where it has a place of its own.
        trace: the same for what the policy predicted (`hearth.core.traces`).
        reason: why a crashed or missing episode has no result.
        goals: every goal literal; empty where the evaluator does not say.
    """

    instance_id: int
    rollout_id: int
    status: str
    q: float
    steps: int | None = None
    normalized_time: float | None = None
    normalized_distance: Mapping[str, float] = field(default_factory=dict)
    video: str | None = None
    record: str | None = None
    trace: str | None = None
    reason: str = ""
    goals: tuple[Goal, ...] = ()

    @property
    def key(self) -> tuple[int, int]:
        return self.instance_id, self.rollout_id

    @property
    def present(self) -> bool:
        return self.status not in ABSENT


@dataclass(frozen=True)
class TaskResult:
    """The merged result of one task: every episode due, in the order of instance and rollout.

    `time_limit_factor` is the benchmark's limit in mean human lengths, which the time score needs.
    """

    task: str
    split: str
    policy: str
    policy_hash: str
    config_hash: str
    episodes: tuple[Episode, ...]
    source_hash: str
    time_limit_factor: float = 2.0

    @property
    def counts(self) -> dict[str, int]:
        """Number of episodes by status, all five statuses present."""
        return {
            status: sum(episode.status == status for episode in self.episodes)
            for status in STATUSES
        }

    @property
    def complete(self) -> bool:
        return all(episode.present for episode in self.episodes)

    @property
    def instances(self) -> int:
        return len({episode.instance_id for episode in self.episodes})


@dataclass(frozen=True)
class Evaluation:
    """A named evaluation. Tasks without a usable merged result are in `absent_tasks`.

    `imported`: it was played elsewhere, so nothing here can play what it lacks.
    """

    name: str
    split: str
    results: Mapping[str, TaskResult]
    absent_tasks: tuple[str, ...]
    faults: tuple[str, ...]
    imported: bool = False

    @property
    def tasks(self) -> tuple[str, ...]:
        """All tasks due, absent ones last."""
        return (*self.results, *self.absent_tasks)

    @property
    def policy(self) -> str:
        return ", ".join(sorted({result.policy for result in self.results.values()}))

    @property
    def counts(self) -> dict[str, int]:
        each = [result.counts for result in self.results.values()]
        return {status: sum(counts[status] for counts in each) for status in STATUSES}

    @property
    def episodes_due(self) -> int:
        return sum(len(result.episodes) for result in self.results.values())

    @property
    def complete(self) -> bool:
        return not self.absent_tasks and all(r.complete for r in self.results.values())


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
