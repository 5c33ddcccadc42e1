"""``hearth cluster check``, ``hearth cluster usage`` and ``hearth cluster clear``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from hearth.commands.options import add_command, settings_of


def _add_cluster(subparsers: Any) -> None:
    help_text = "what the Slurm cluster can give, and what jobs took of it"
    parser = subparsers.add_parser("cluster", help=help_text, description=help_text)
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    help_text = "say what in the profile cannot work on this cluster"
    check = actions.add_parser("check", help=help_text, description=help_text)
    check.set_defaults(command=_check)
    check.add_argument(
        "--profile", type=Path, default=Path("profiles/slurm/config.yaml"),
        help="Snakemake's profile (default: profiles/slurm/config.yaml)",
    )  # fmt: skip
    usage = add_command(
        actions, "usage", "what each rule's jobs used of what the profile asks for", _usage
    )
    usage.add_argument(
        "--since", default="now-7days", metavar="TIME",
        help="of jobs that ran since then, as sacct reads it (default: now-7days)",
    )  # fmt: skip
    add_command(
        actions,
        "clear",
        "cancel short jobs whose Snakemake was killed (make unlock does it)",
        _clear,
    )


def _check(options: argparse.Namespace) -> int:
    import yaml

    from hearth.core.errors import SettingsError
    from hearth.launch.site import profile_problems, remarks

    path = options.profile / "config.yaml" if options.profile.is_dir() else options.profile
    try:
        profile = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise SettingsError(f"profile {path} cannot be read: {error}") from error
    if not isinstance(profile, dict):
        raise SettingsError(f"profile {path} holds no entries: {profile!r}")
    problems = profile_problems(profile)
    for problem in problems:
        print(problem)
    for remark in remarks(profile):
        print(f"note: {remark}")
    print(
        f"{path}: {len(problems)} problem{'s' * (len(problems) > 1)}"
        if problems
        else f"{path}: fits this cluster"
    )
    return 1 if problems else 0


def _usage(options: argparse.Namespace) -> int:
    import sys

    from rich.console import Console
    from rich.table import Table

    from hearth.launch.usage import lines, usage

    settings, _ = settings_of(options)
    table = Table(title=f"{settings.experiment}, since {options.since}", box=None)
    for name in ("rule", "jobs", "ended"):
        table.add_column(name, justify="right" if name == "jobs" else "left")
    for name in (
        "mem_mb asked", "used", "CPUs asked", "busy", "runtime asked", "longest"
    ):  # fmt: skip
        table.add_column(name, justify="right")
    for line in lines(usage(settings, options.since)):
        table.add_row(*line)
    Console(width=None if sys.stdout.isatty() else 200).print(table)
    return 0


def _clear(options: argparse.Namespace) -> int:
    from hearth.launch.leftovers import cancel_leftovers

    settings, _ = settings_of(options)
    for job in cancel_leftovers(settings):
        print(f"cancelled job {job.id} ({job.comment}), which a killed Snakemake left")
    return 0


COMMANDS = (_add_cluster,)
