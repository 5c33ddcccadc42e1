"""Settings against their benchmark: what commands and the workflow check before any job."""

from __future__ import annotations

from hearth.benchmark import Benchmark, experiment_benchmark
from hearth.core.errors import SettingsError
from hearth.core.selection import check_cameras, check_tasks, select_tasks
from hearth.core.settings import Settings
from hearth.policy.checks import check_rules


def benchmark_of(settings: Settings) -> Benchmark:
    """The benchmark of `settings`, which has all tasks, cameras and stages that they name.

    Raises:
        SettingsError: naming what it lacks, and the valid names.
    """
    benchmark = experiment_benchmark(settings)
    select_tasks(settings, benchmark.task_names)
    if settings.evaluator is not None and benchmark.simulator == "household":
        raise SettingsError(
            f"section 'evaluator': benchmark '{benchmark.name}' is played in the embedded "
            "simulator; leave the section out"
        )
    for name in settings.run_names:
        check_cameras(settings.run(name), benchmark.cameras)
    check_tasks(settings, benchmark.task_names)
    for runtime in (settings.runtime, *map(settings.runtime_for, settings.evaluation_names)):
        check_rules(runtime, benchmark)
    return benchmark
