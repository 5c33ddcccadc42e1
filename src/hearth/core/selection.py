"""Names in the settings against the names that the benchmark has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hearth.core.errors import SettingsError, choices
from hearth.core.sections import RunSettings
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


def check_tasks(settings: Settings, valid: Sequence[str]) -> None:
    """Refuse runs and groups of tasks that name a task which is not there.

    A run needs tasks of the experiment, whose data there is; groups may name any of the benchmark.

    Raises:
        SettingsError: naming the key, the task and the valid ones.
    """
    there = select_tasks(settings, valid)
    wanted: dict[str, tuple[Sequence[str], Sequence[str]]] = {
        f"runs.{name}.tasks": (settings.run(name).tasks or (), there)
        for name in settings.run_names
        if name not in (settings.finetuning.run_names if settings.finetuning else ())
    }
    if settings.finetuning and settings.finetuning.groups:
        for name, tasks in settings.finetuning.groups.items():
            wanted[f"finetuning.groups.{name}"] = (tasks, valid)
    for key, (tasks, known) in wanted.items():
        for task in tasks:
            if task not in known:
                raise SettingsError(f"{key}: unknown task '{task}': {choices(task, known)}")


def check_cameras(settings: RunSettings, cameras: Iterable[str]) -> None:
    """Refuse a crop or rotation of a camera that the robot does not have.

    Raises:
        SettingsError: naming the camera and the valid ones.
    """
    cameras = list(cameras)
    if settings.crop_fraction == 1.0 and settings.rotation_degrees == 0.0:
        return
    for name in settings.geometry_cameras:
        if name not in cameras:
            raise SettingsError(f"geometry_cameras: no camera '{name}': {choices(name, cameras)}")
