"""``hearth fetch-data`` and ``hearth convert-data``: demonstrations from and for elsewhere."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Any

from hearth.commands.options import add_command, settings_of, tasks_of


def _add_fetch(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "fetch-data",
        "print the download of the experiment's published demonstrations, or run it",
        _fetch,
    )
    parser.add_argument("--task", help="one task (default: all of the experiment)")
    parser.add_argument(
        "--camera", action="append", help="one camera (may be repeated; default: all)"
    )
    parser.add_argument("--target", type=Path, help="folder (default: data.dataset)")
    parser.add_argument("--run", action="store_true", help="run it here instead of printing it")


def _fetch(options: argparse.Namespace) -> int:
    from hearth.data.fetch import download, download_command
    from hearth.data.room import dataset_folder

    settings, benchmark = settings_of(options)
    tasks = tasks_of(options, settings, benchmark)
    folder = options.target or dataset_folder(settings)
    command = download_command(benchmark, tasks, options.camera or list(benchmark.cameras), folder)
    print(shlex.join(command))
    if options.run:
        download(command)
    return 0


def _add_convert(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "convert-data",
        "write the experiment's LeRobot v2.1 demonstrations as LeRobot v3.0",
        _convert,
    )
    parser.add_argument("--task", help="one task (default: all of the experiment)")
    parser.add_argument("--target", type=Path, required=True, help="folder of the new data set")


def _convert(options: argparse.Namespace) -> int:
    from hearth.data.lerobot import write_v30
    from hearth.data.lerobot.v21 import DatasetV21
    from hearth.data.room import dataset_folder

    settings, benchmark = settings_of(options)
    source = DatasetV21(dataset_folder(settings), benchmark)
    write_v30(source, options.target, tasks_of(options, settings, benchmark))
    print(f"LeRobot v3.0 in {options.target}")
    return 0


COMMANDS = (_add_fetch, _add_convert)
