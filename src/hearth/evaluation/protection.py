"""What a task was played with, so that a protected experiment refuses to replace its episodes."""

from __future__ import annotations

import contextlib
from typing import Any

from hearth.benchmark import Benchmark
from hearth.core.changes import differences
from hearth.core.errors import EvaluationError, TrainingError
from hearth.core.files import read_json, write_json
from hearth.core.groups import run_for
from hearth.core.results import Results
from hearth.core.settings import Settings
from hearth.evaluation import identity


def changes(settings: Settings, benchmark: Benchmark, evaluation: str, task: str) -> list[str]:
    """What now differs from the settings that the task's episodes were played with.

    Empty where nothing was played yet, so that nothing can be lost. More instances or rollouts and
    another version of hearth are no differences.

    Raises:
        DataError: the file that remembers them is damaged.
    """
    results = Results.of(settings)
    path = results.played_with(evaluation, task)
    if not path.is_file():
        return []
    before, now = read_json(path), _values(settings, benchmark, evaluation, task)
    if "policy" not in now:
        before.pop("policy", None)
    lines = differences(before, now)
    if not lines:
        return []
    played = results.evaluation(evaluation).glob(f"episodes/{task}_*.json")
    return lines if next(played, None) is not None else []


def remember(settings: Settings, benchmark: Benchmark, evaluation: str, task: str) -> None:
    """Write what the task is played with from now on.

    Raises:
        EvaluationError: the experiment is protected, and episodes were played with other settings.
    """
    refuse_change(settings, benchmark, evaluation, task)
    path = Results.of(settings).played_with(evaluation, task)
    values = _values(settings, benchmark, evaluation, task)
    if not path.is_file() or read_json(path) != values:
        write_json(path, values)


def refuse_change(settings: Settings, benchmark: Benchmark, evaluation: str, task: str) -> None:
    """Refuse settings that would replace the task's episodes.

    Raises:
        EvaluationError: the experiment is protected, and episodes were played with other settings;
            with every difference and the choices.
    """
    lines = changes(settings, benchmark, evaluation, task) if settings.protect else []
    if lines:
        raise EvaluationError(
            f"evaluation '{evaluation}' has episodes of {task} played with other settings, which "
            "'protect' keeps:\n" + "\n".join(f"  {line}" for line in lines) + "\nEither give the "
            "changed evaluation a new name below 'evaluations', or let the old episodes go with: "
            "--set protect=false"
        )


def _values(settings: Settings, benchmark: Benchmark, evaluation: str, task: str) -> dict[str, Any]:
    values = identity.config(settings, benchmark, evaluation, task)
    with contextlib.suppress(TrainingError):  # it follows from groups that are not made yet
        values["policy"] = run_for(settings, evaluation, task)
    return values
