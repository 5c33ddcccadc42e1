"""``hearth cluster check``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def _add_cluster(subparsers: Any) -> None:
    help_text = "look at the Slurm cluster before the first job"
    parser = subparsers.add_parser("cluster", help=help_text, description=help_text)
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    help_text = "say what in the profile cannot work on this cluster"
    check = actions.add_parser("check", help=help_text, description=help_text)
    check.set_defaults(command=_check)
    check.add_argument(
        "--profile", type=Path, default=Path("profiles/slurm/config.yaml"),
        help="Snakemake's profile (default: profiles/slurm/config.yaml)",
    )  # fmt: skip


def _check(options: argparse.Namespace) -> int:
    import yaml

    from hearth.core.errors import SettingsError
    from hearth.launch.site import profile_problems, remarks

    path = options.profile / "config.yaml" if options.profile.is_dir() else options.profile
    try:
        profile = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise SettingsError(f"profile {path} cannot be read: {error}") from error
    problems = profile_problems(profile)
    for problem in problems:
        print(problem)
    for remark in remarks(profile):
        print(f"note: {remark}")
    print(f"{path}: {len(problems)} problems" if problems else f"{path}: fits this cluster")
    return 1 if problems else 0


COMMANDS = (_add_cluster,)
