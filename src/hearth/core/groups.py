"""Which tasks a run trains on, and which run plays a task, where that follows from groups."""

from __future__ import annotations

from collections.abc import Sequence

from hearth.core.errors import SettingsError, TrainingError, choices
from hearth.core.files import read_json
from hearth.core.finetuning import FINETUNED
from hearth.core.results import Results
from hearth.core.settings import Settings


def task_groups(settings: Settings) -> dict[str, tuple[str, ...]]:
    """The groups of the second phase that have tasks of the experiment, in their order.

    Raises:
        TrainingError: they are made from the first phase's scores, and that has not happened yet.
        DataError: the file that holds them is damaged.
    """
    wanted = settings.finetuning
    if wanted is None:
        return {}
    groups = wanted.groups
    if groups is None:
        path = Results.of(settings).groups
        if not path.is_file():
            raise TrainingError(
                f"{path} does not exist: the groups of tasks follow from the scores of run "
                f"'{wanted.initialise_from}'; make them with: hearth groups"
            )
        groups = {name: tuple(tasks) for name, tasks in read_json(path)["groups"].items()}
    chosen = {
        name: tuple(task for task in tasks if not settings.tasks or task in settings.tasks)
        for name, tasks in groups.items()
    }
    return {name: tasks for name, tasks in chosen.items() if tasks}


def finetuned_run(settings: Settings, task: str) -> str:
    """The run of the second phase that plays `task`; without a group, the first phase's.

    Raises:
        SettingsError: there is no second phase.
        TrainingError, DataError: as `task_groups`.
    """
    if settings.finetuning is None:
        raise SettingsError("no section 'finetuning': there is no second phase")
    groups = task_groups(settings)
    for run, group in settings.finetuning.run_names.items():
        if task in groups.get(group, ()):
            return run
    return settings.finetuning.initialise_from


def run_for(settings: Settings, evaluation: str, task: str) -> str:
    """The run (or "expert") that plays `task` of an evaluation.

    Raises:
        SettingsError: unknown evaluation, or it has no policy for the task.
        TrainingError, DataError: as `task_groups`.
    """
    policy = settings.evaluation(evaluation).policy_for(task)
    return finetuned_run(settings, task) if policy == FINETUNED else policy


def tasks_of_run(settings: Settings, run: str, tasks: Sequence[str]) -> tuple[str, ...]:
    """The tasks that a run trains on, of the experiment's `tasks` and in their order.

    Raises:
        SettingsError: unknown run; a task that the experiment does not have; or an empty group.
        TrainingError, DataError: as `task_groups`.
    """
    chosen = settings.run(run).tasks
    group = settings.finetuning and settings.finetuning.run_names.get(run)
    if run not in settings.runs and group:
        chosen = task_groups(settings).get(group, ())
        if not chosen:
            raise SettingsError(
                f"run '{run}' has no tasks: group '{group}' is empty; groups with tasks: "
                + ", ".join(task_groups(settings))
            )
    if chosen is None:
        return tuple(tasks)
    for task in chosen:
        if task not in tasks:
            raise SettingsError(
                f"run '{run}' wants task '{task}', which the experiment does not have: "
                + choices(task, tasks)
            )
    return tuple(task for task in tasks if task in chosen)
