"""``hearth status``."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from hearth.commands.options import add_command, settings_of, tasks_of


def _add_status(subparsers: Any) -> None:
    parser = add_command(
        subparsers, "status", "how far runs and evaluations are, and which jobs run", _status
    )
    parser.add_argument("--task", help="one task (default: all of the experiment)")
    parser.add_argument(
        "--every", type=float, metavar="SECONDS", help="show it again and again, until Ctrl-C"
    )


def _status(options: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.live import Live

    settings, benchmark = settings_of(options)
    tasks = tasks_of(options, settings, benchmark)
    if options.every is None:
        # In a pipe no line is broken.
        Console(width=None if sys.stdout.isatty() else 200).print(
            _table(settings, benchmark, tasks)
        )
        return 0
    with Live(_table(settings, benchmark, tasks), auto_refresh=False) as live:
        while True:
            time.sleep(options.every)
            live.update(_table(settings, benchmark, tasks), refresh=True)


def _table(settings: Any, benchmark: Any, tasks: list[str]) -> Any:
    from rich.table import Table

    from hearth.launch.status import status

    table = Table(title=settings.experiment, box=None)
    for name in ("stage", "name"):
        table.add_column(name, no_wrap=True)
    for name in ("done", "due", "crashed", "missing", "running", "queued"):
        table.add_column(name, justify="right")
    table.add_column("expected finish")
    table.add_column("")
    for line in status(settings, benchmark, tasks):
        jobs = (line.running, line.queued)
        numbers = (line.done, line.due, line.crashed, line.missing, *jobs)
        texts = ["" if number < 0 else str(number) for number in numbers]
        finish = "" if line.finish is None else f"{line.finish:%a %d %b %H:%M}"
        table.add_row(line.stage, line.name, *texts, finish, line.note)
    return table


COMMANDS = (_add_status,)
