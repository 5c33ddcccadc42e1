"""``hearth train``."""

from __future__ import annotations

import argparse
from typing import Any

from hearth.commands.options import add_command, settings_of


def _add_train(subparsers: Any) -> None:
    parser = add_command(
        subparsers, "train", "train a policy; goes on from the newest checkpoint", train_run
    )
    parser.add_argument("--run", required=True, help="a run of the configuration")
    parser.add_argument(
        "--discard", action="store_true", help="drop a finished run whose settings changed"
    )


def train_run(options: argparse.Namespace) -> int:
    from hearth.training.loop import train

    settings, _ = settings_of(options)
    settings.run(options.run)
    train(settings, options.run, discard=options.discard)
    return 0


COMMANDS = (_add_train,)
