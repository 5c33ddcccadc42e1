"""Settings against their benchmark: what commands and the workflow check before any job."""

from __future__ import annotations

from pathlib import Path

from hearth.benchmark import Benchmark, experiment_benchmark
from hearth.core.errors import SettingsError, choices
from hearth.core.files import read_json
from hearth.core.results import Results
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
    for name, section in settings.imports.items():
        if section.split not in benchmark.splits:
            raise SettingsError(
                f"imports.{name}.split '{section.split}': "
                + choices(section.split, benchmark.splits)
            )
    for name in settings.run_names:
        check_cameras(settings.run(name), benchmark.cameras)
    check_tasks(settings, benchmark.task_names)
    for runtime in (settings.runtime, *map(settings.runtime_for, settings.evaluation_names)):
        check_rules(runtime, benchmark)
    return benchmark


def check_imports(settings: Settings) -> None:
    """What is still to be imported must be there. What was imported needs its source no more.

    Asked here, as Snakemake drops an error about the inputs of what is there already.

    Raises:
        SettingsError: naming the section and its folder.
    """
    results = Results.of(settings)
    for name, section in settings.imports.items():
        folder = Path(section.folder).expanduser()
        if folder.is_dir():
            continue
        marker = results.imported(name)
        if not marker.is_file() or read_json(marker).get("folder") != str(folder):
            raise SettingsError(f"imports.{name}.folder: {folder} is not a folder")
