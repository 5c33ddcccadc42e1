"""``hearth demos`` and ``hearth prepare``."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from hearth.commands.options import add_command, add_workers, settings_of, tasks_of
from hearth.core.errors import DataError
from hearth.core.locks import alone
from hearth.core.results import Results
from hearth.core.selection import select_tasks


def _add_demos(subparsers: Any) -> None:
    parser = add_command(
        subparsers, "demos", "record demonstrations with the scripted experts", _demos
    )
    parser.add_argument("--task", help="one task (default: all of the experiment)")
    parser.add_argument("--index", action="store_true", help="only write the data set's meta files")
    add_workers(parser)


def _demos(options: argparse.Namespace) -> int:
    from hearth.commands.recording import record_task, write_dataset_index

    settings, benchmark = settings_of(options)
    results = Results.of(settings)
    if not options.index:
        for task in tasks_of(options, settings, benchmark):
            with alone(results.lock("demonstrations", task), f"recording {task}"):
                record_task(settings, benchmark, task, workers=options.workers)
    if options.index or options.task is None:
        with alone(results.lock("demonstrations"), "writing the data set's index"):
            write_dataset_index(settings, benchmark)
    return 0


def _add_prepare(subparsers: Any) -> None:
    parser = add_command(
        subparsers, "prepare", "turn demonstrations into verified HDF5 episodes", _prepare
    )
    parser.add_argument("--task", help="one task (default: all of the experiment)")
    add_workers(parser)


def _prepare(options: argparse.Namespace) -> int:
    from hearth.data.prepare import prepare_task
    from hearth.data.room import check_room

    settings, benchmark = settings_of(options)
    try:
        check_room(settings, select_tasks(settings, benchmark.task_names))
    except DataError as error:
        if options.task is None:
            raise
        # One task may have room where all of the experiment have none.
        print(f"warning: all tasks together: {error}", file=sys.stderr)
    for task in tasks_of(options, settings, benchmark):
        prepare_task(settings, task, workers=options.workers)
    return 0


COMMANDS = (_add_demos, _add_prepare)
