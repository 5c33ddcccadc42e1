"""Result files of the official evaluators of 2025 and 2026: read and checked, never changed."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hearth.benchmark import Benchmark
from hearth.core.errors import DataError, EvaluationError, choices

PARTS = ("base", "left", "right")
_NAME = re.compile(r"(.+)_(0|[1-9]\d*)_(0|[1-9]\d*)")
# The evaluator of 2026 says in the file what stands in the name; that of 2025 does not.
_KEYS_2026 = ("task", "instance_id", "rollout_id", "steps", "success")


class TruncatedError(DataError):
    """The file's text is not whole: its writer is still at work, or ended in the middle."""


@dataclass(frozen=True)
class OfficialResult:
    """What one result file says.

    Attributes:
        year: 2025 or 2026, by the form of the file.
        q: the q-score in [0, 1]; 1 is success.
        steps: simulator steps.
        normalized_time: human steps over policy steps, above 0.
        normalized_distance: the same ratio for the paths of base, left and right hand; infinite
            where a part never moved.
        failure_reason: why the evaluator ended the episode early, mostly empty.
    """

    year: int
    q: float
    steps: int
    normalized_time: float
    normalized_distance: dict[str, float]
    failure_reason: str


def parse_name(stem: str) -> tuple[str, int, int] | None:
    """(task, instance, rollout) of ``<task>_<instance>_<rollout>``; None for another name."""
    match = _NAME.fullmatch(stem)
    return (match[1], int(match[2]), int(match[3])) if match else None


def read_official(content: bytes, name: tuple[str, int, int]) -> OfficialResult:
    """Check one file's content against the task, instance and rollout in its name.

    Raises:
        TruncatedError: the text is no JSON.
        DataError: it has a value that no evaluator writes; says which.
    """
    try:
        values = json.loads(content)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise TruncatedError(f"is not valid JSON ({error})") from error
    except (ValueError, RecursionError) as error:  # a number or a depth that Python does not read
        raise DataError(f"is no result ({error})") from error
    if not isinstance(values, dict):
        raise DataError(f"holds a {type(values).__name__}, not a result")
    try:
        year = _year(values, name)
        distances = values["normalized_agent_distance"]
        _check_measured(values)
        return OfficialResult(
            year=year,
            q=_share(values["q_score"]["final"]),
            steps=int(values["time"]["simulator_steps"]),
            normalized_time=_positive(values["time"]["normalized_time"]),
            normalized_distance={part: _distance(distances[part], part) for part in PARTS},
            failure_reason=str(values.get("failure_reason") or ""),
        )
    except KeyError as error:
        raise DataError(f"has no key {error}") from error
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"does not have the form of a result: {error}") from error


def check_consistent(content: bytes, result: OfficialResult, time_limit: int) -> None:
    """Refuse a checked file of which one value says otherwise than another.

    Args:
        time_limit: of the benchmark, in steps.

    Raises:
        DataError: success without q 1 or the other way round, or more steps than there are.
    """
    success = json.loads(content).get("success", result.q == 1.0)  # files of 2025 do not say it
    if success is not (result.q == 1.0):
        raise DataError(
            f"says success {json.dumps(success)} and q_score.final {result.q}; success is q 1"
        )
    # Where the limit is no whole number, evaluators may count the step that it falls into.
    if result.steps > time_limit + 1:
        raise DataError(f"time.simulator_steps is {result.steps}; the limit is {time_limit}")


def json_values(content: bytes) -> dict[str, Any]:
    """The values of a checked file, ready for strict JSON: what is not finite becomes a word."""
    return _plain(json.loads(content))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return json.dumps(value)
    return value


def status(result: OfficialResult, time_limit: int) -> str:
    """How the episode ended, as it follows from its result.

    Args:
        time_limit: of the benchmark, in steps.
    """
    # The evaluator rounds the limit down, the benchmark up: one step of tolerance.
    late = result.steps + 1 >= time_limit
    return "success" if result.q == 1.0 else "timeout" if late else "failure"


def _year(values: Mapping[str, Any], name: tuple[str, int, int]) -> int:
    found = [key for key in _KEYS_2026 if key in values]
    if not found:
        return 2025
    said = tuple(values[key] for key in _KEYS_2026)[:3]
    if said != name:
        pairs = zip(_KEYS_2026, said, strict=False)
        raise DataError("says otherwise: " + ", ".join(f"{key} {value!r}" for key, value in pairs))
    return 2026


def _number(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise DataError(f"{what} is {value!r}; valid are numbers")
    return float(value)


def _share(value: Any) -> float:
    q = _number(value, "q_score.final")
    if not 0.0 <= q <= 1.0:
        raise DataError(f"q_score.final is {q}; valid are numbers in [0, 1]")
    return q


def _positive(value: Any) -> float:
    time = _number(value, "time.normalized_time")
    if not 0.0 < time < math.inf:
        raise DataError(f"time.normalized_time is {time}; valid are finite numbers above 0")
    return time


def _distance(value: Any, part: str) -> float:
    return _not_negative(value, f"normalized_agent_distance.{part}")


def _not_negative(value: Any, what: str) -> float:
    number = _number(value, what)
    if number < 0.0:
        raise DataError(f"{what} is {value}; valid are numbers from 0")
    return number


def _check_measured(values: Mapping[str, Any]) -> None:
    """Times and distances that no table shows are checked as well: they are in the file."""
    time, steps = values["time"], values["time"]["simulator_steps"]
    if not _not_negative(steps, "time.simulator_steps").is_integer():
        raise DataError(f"time.simulator_steps is {steps}; valid are whole numbers from 0")
    if "steps" in values and not _not_negative(values["steps"], "steps").is_integer():
        raise DataError(f"steps is {values['steps']}; valid are whole numbers from 0")
    if "simulator_time" in time:
        _not_negative(time["simulator_time"], "time.simulator_time")
    for part, distance in dict(values.get("agent_distance", {})).items():
        _not_negative(distance, f"agent_distance.{part}")


class InstanceNumbers:
    """From the instance in a file's name to the instance of the benchmark.

    Files of 2026 carry the benchmark's own numbers. Those of 2025 carry numbers that differ from
    task to task; the challenge's ``test_instances.csv`` lists them in the order of the benchmark.
    """

    def __init__(self, benchmark: Benchmark, table: Path | None) -> None:
        self._by_task: dict[str, list[int]] | None = None
        if benchmark.simulator == "omnigibson-2025":
            if table is None:
                raise EvaluationError(
                    "result files of 2025 name instances by numbers of each task: give the "
                    "challenge's list with --instances "
                    "DATA/2025-challenge-task-instances/metadata/test_instances.csv, or as "
                    "evaluator.instances for an evaluation that is played here"
                )
            self._by_task = _read_table(table, benchmark)

    def of_benchmark(self, task: str, number: int) -> int | None:
        """The benchmark's instance for the number in a file's name; None where it is unknown."""
        if self._by_task is None:
            return number
        numbers = self._by_task.get(task, [])
        return numbers.index(number) + 1 if number in numbers else None

    def in_files(self, task: str, instance: int) -> int:
        """The number that a file of `instance` has in its name."""
        return instance if self._by_task is None else self._by_task[task][instance - 1]


def _read_table(path: Path, benchmark: Benchmark) -> dict[str, list[int]]:
    """Instance numbers by task, in the challenge's order.

    Raises:
        EvaluationError: the file is missing, of another form, or names an unknown task.
    """
    try:
        with path.open(newline="", encoding="utf-8") as handle:
            rows = list(csv.reader(handle))[1:]
        table = {row[1].strip(): [int(n) for n in row[2].split(",")] for row in rows if row}
    except (OSError, IndexError, ValueError) as error:
        raise EvaluationError(
            f"{path} is not the challenge's test_instances.csv (Task ID, Task, Public Test "
            f"Instance IDs): {error}"
        ) from error
    for task in table:
        if task not in benchmark.task_names:
            raise EvaluationError(
                f"{path}: unknown task '{task}': {choices(task, benchmark.task_names)}"
            )
    return table
