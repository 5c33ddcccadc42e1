"""Which tasks an experiment runs."""

from __future__ import annotations

from collections.abc import Sequence

from hearth.core.errors import SettingsError, choices
from hearth.core.settings import Settings


def select_tasks(settings: Settings, valid: Sequence[str]) -> tuple[str, ...]:
    """The experiment's tasks, in the benchmark's order; all of them when `tasks` is empty.

    Raises:
        SettingsError: a task is not in the benchmark; the message lists the valid names.
    """
    for task in settings.tasks:
        if task not in valid:
            raise SettingsError(
                f"'tasks': unknown task '{task}' in benchmark '{settings.benchmark}': "
                + choices(task, valid)
            )
    return tuple(task for task in valid if not settings.tasks or task in settings.tasks)
