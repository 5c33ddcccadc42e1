"""Groups of tasks for the second phase, from the first one's scores (report, 6.4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hearth.core.errors import DataError
from hearth.core.finetuning import GROUPS, VALIDATION
from hearth.core.results import Results
from hearth.core.settings import Settings
from hearth.reporting.merged import TaskResult
from hearth.reporting.merged_files import load_evaluation
from hearth.reporting.scoring import is_success, q_score

_BEST, _GOOD, _BAD = GROUPS


@dataclass(frozen=True)
class TaskScore:
    """What a task reached: mean q-score and success rate over the episodes due, in [0, 1]."""

    q: float
    success_rate: float

    @classmethod
    def of(cls, result: TaskResult) -> TaskScore:
        """The official scores; a crashed or missing episode counts as zero."""
        due = len(result.episodes)
        return cls(
            q=sum(map(q_score, result.episodes)) / due,
            success_rate=sum(map(is_success, result.episodes)) / due,
        )


def group_of(score: TaskScore, best_success_rate: float) -> str:
    """`best`: success at or above the rate; `good`: some q-score; `bad`: none.

    >>> group_of(TaskScore(q=0.4, success_rate=0.3), best_success_rate=0.3)
    'best'
    """
    if score.success_rate >= best_success_rate:
        return _BEST
    return _GOOD if score.q > 0.0 else _BAD


def group_tasks(
    scores: Mapping[str, TaskScore], best_success_rate: float
) -> dict[str, tuple[str, ...]]:
    """The groups that have tasks: best, good, bad; tasks in the order of `scores`."""
    groups = {
        name: tuple(t for t in scores if group_of(scores[t], best_success_rate) == name)
        for name in GROUPS
    }
    return {name: tasks for name, tasks in groups.items() if tasks}


def make_groups(settings: Settings, tasks: Sequence[str], policy_hash: str) -> dict[str, Any]:
    """The groups of the experiment's tasks with the scores that made them, as JSON values.

    Args:
        settings: of an experiment whose section `finetuning` has a `validation`.
        tasks: the experiment's.
        policy_hash: of the first phase's bundle; scores of another one are refused.

    Raises:
        DataError: a task's merged result is missing or faulty, incomplete although
            `report.allow_incomplete` is off, or of another policy or split.
    """
    wanted = settings.finetuning
    if wanted is None or wanted.validation is None:
        raise DataError("the settings make no groups: finetuning.validation is not given")
    found = load_evaluation(Results.of(settings).root, VALIDATION, tasks)
    if found.absent_tasks:
        raise DataError(
            f"no scores of {', '.join(found.absent_tasks)} to make groups from: "
            + "; ".join(found.faults)
            + f"; play them with: hearth evaluate --evaluation {VALIDATION}"
        )
    for result in found.results.values():
        _check(result, settings, wanted.validation.split, policy_hash)
    scores = {task: TaskScore.of(result) for task, result in found.results.items()}
    return {
        "evaluation": VALIDATION,
        "run": wanted.initialise_from,
        "policy_hash": policy_hash,
        "split": wanted.validation.split,
        "best_success_rate": wanted.best_success_rate,
        "groups": group_tasks(scores, wanted.best_success_rate),
        "scores": {task: asdict(score) for task, score in scores.items()},
    }


def _check(result: TaskResult, settings: Settings, split: str, policy_hash: str) -> None:
    """Refuse scores that are not of this split and policy, or not of all episodes."""
    where = f"{VALIDATION}/{result.task}.json"
    for name, value, expected in (
        ("split", result.split, split),
        ("policy", result.policy_hash, policy_hash),
    ):
        if value != expected:
            raise DataError(
                f"{where} is of {name} '{value}', not '{expected}'; play the task again with: "
                f"hearth evaluate --evaluation {VALIDATION} --task {result.task}"
            )
    if not result.complete and not settings.report.allow_incomplete:
        counts = {status: n for status, n in result.counts.items() if n}
        raise DataError(
            f"{where} is incomplete ({counts}): crashed and missing episodes would push the task "
            "into a worse group; play them again, or set report.allow_incomplete"
        )
