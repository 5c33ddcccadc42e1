"""The command line. Parsing is light: jax, mujoco and friends load inside the commands."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable

from hearth.core.errors import HearthError

DESCRIPTION = """\
Robot demonstrations to a leaderboard. The workflow (see Snakefile) calls these commands;
each also runs by hand, e.g.

  hearth demos --config config/demo.yaml --task turning_on_radio
  hearth train --config config/demo.yaml --run main
  hearth finetune --config config/demo.yaml --run radio --from main --task turning_on_radio
  hearth evaluate --config config/demo.yaml --evaluation trained --task turning_on_radio
  hearth watch --config config/demo.yaml --task turning_on_radio --policy expert
"""

Command = Callable[[argparse.Namespace], int]


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code (1: an error that the message explains)."""
    options, unknown = _parser().parse_known_args(arguments)
    if unknown:
        options.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    # Snakemake and Slurm end jobs with SIGTERM: turn it into an ordinary exit so that children
    # are ended and temporary files removed.
    signal.signal(signal.SIGTERM, _terminate)
    if "HEARTH_PARENT" in os.environ:
        # A Snakemake that is killed by force cannot end its jobs; they end themselves.
        from hearth.core.lifetime import terminate_after

        terminate_after(int(os.environ.pop("HEARTH_PARENT")))
    try:
        return options.command(options)
    except HearthError as error:
        print(f"hearth: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("hearth: interrupted; run the same command again to go on", file=sys.stderr)
        return 130


def _terminate(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


def _parser() -> argparse.ArgumentParser:
    from hearth import commands

    parser = argparse.ArgumentParser(
        prog="hearth",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for register in commands.ALL:
        register(subparsers)
    for subparser in subparsers.choices.values():
        # Its own usage in an error says more than the list of commands.
        subparser.set_defaults(parser=subparser)
    return parser


def _quiet_environment() -> None:
    # JAX looks for a TPU library at start-up and says so; users did not ask.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


_quiet_environment()
