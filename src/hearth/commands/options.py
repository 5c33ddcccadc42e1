"""Options that several commands share."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hearth.benchmark import Benchmark
from hearth.commands.checks import benchmark_of
from hearth.core.errors import SettingsError, choices
from hearth.core.results import Results
from hearth.core.selection import select_tasks
from hearth.core.settings import Settings, load_settings


def add_command(
    subparsers: Any, name: str, help_text: str, run: Callable[[argparse.Namespace], int]
) -> argparse.ArgumentParser:
    """Register a command with ``--config`` and ``--set``."""
    parser = subparsers.add_parser(name, help=help_text, description=help_text)
    parser.set_defaults(command=run)
    parser.add_argument(
        "--config", type=Path, default=Path("config/demo.yaml"),
        help="the experiment (default: config/demo.yaml)",
    )  # fmt: skip
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides",
        help="override a setting, e.g. --set runs.main.steps=100 (may be repeated)",
    )  # fmt: skip
    return parser


def add_workers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1,
        help="processes side by side (default: all cores)",
    )  # fmt: skip


def add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--run", help="of a run with statistics of its own (default: the experiment's)"
    )


def own_results(options: argparse.Namespace, settings: Settings) -> Results:
    """Where the statistics and the tokenizer of ``--run`` lie; without it the experiment's.

    Raises:
        SettingsError: the run has none of its own, or is unknown.
    """
    if options.run is None:
        return Results.of(settings)
    if not settings.own_statistics(options.run):
        own = [name for name in settings.run_names if settings.own_statistics(name)]
        raise SettingsError(
            f"run '{options.run}' has no statistics of its own: {choices(options.run, own)}"
        )
    return Results.of_run(settings, options.run)


def settings_of(options: argparse.Namespace) -> tuple[Settings, Benchmark]:
    """Load and validate the settings and their benchmark; the tasks they name must exist."""
    # `hearth finetune --run NAME --from SOURCE` makes a run, whose settings may be given.
    new_runs = [options.run] if getattr(options, "source", None) is not None else []
    settings = load_settings(options.config, options.overrides, new_runs)
    return settings, benchmark_of(settings)


def tasks_of(options: argparse.Namespace, settings: Settings, benchmark: Benchmark) -> list[str]:
    """The task of ``--task``, or all tasks of the experiment."""
    if options.task is None:
        return list(select_tasks(settings, benchmark.task_names))
    return [benchmark.task(options.task).name]
