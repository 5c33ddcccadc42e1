"""Task rules and gripper closures of the runtime against the benchmark: names and stages only."""

from __future__ import annotations

from collections.abc import Mapping

from hearth.benchmark.benchmark import Benchmark
from hearth.core.errors import SettingsError, choices
from hearth.core.sections import ReturnToStage, RuntimeSettings

OTHER_TASKS = "*"  # the entry of a closure table that stands for all tasks without one


def check_rules(runtime: RuntimeSettings, benchmark: Benchmark) -> None:
    """Refuse rules and closures of unknown tasks, and stages that a task does not have.

    Raises:
        SettingsError: naming the task or the stage, and the valid ones.
    """
    check_closures(runtime.gripper_closures, benchmark)
    for task, rules in runtime.task_rules.items():
        if task not in benchmark.task_names:
            raise SettingsError(
                f"runtime.task_rules names '{task}', no task of '{benchmark.name}': "
                + choices(task, benchmark.task_names)
            )
        stages = benchmark.task(task).stages
        for rule in rules:
            stage = rule.at if isinstance(rule, ReturnToStage) else rule.from_stage
            if stage >= stages:
                raise SettingsError(
                    f"runtime.task_rules['{task}']: rule {rule.rule} acts at stage {stage}; the "
                    f"task has {stages} stages in '{benchmark.name}', 0 to {stages - 1}"
                )


def check_closures(given: Mapping[str, tuple[int | None, ...]], benchmark: Benchmark) -> None:
    """Refuse a closure table that does not fit the benchmark.

    Raises:
        SettingsError: an entry names no task, or not every hand of the robot.
    """
    hands = len(benchmark.robot.gripper_dimensions)
    for name, first_stages in given.items():
        if name != OTHER_TASKS and name not in benchmark.task_names:
            raise SettingsError(
                f"runtime.gripper_closures names '{name}', no task of '{benchmark.name}': "
                + choices(name, [*benchmark.task_names, OTHER_TASKS])
            )
        if len(first_stages) != hands:
            raise SettingsError(
                f"runtime.gripper_closures['{name}'] = {list(first_stages)}: robot "
                f"'{benchmark.robot.name}' has {hands} grippers; give one number or null for each"
            )
