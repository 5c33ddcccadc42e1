"""``hearth import-results`` and ``hearth submission``: files of the official evaluators."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from hearth.commands.options import add_command, settings_of


def _add_import(subparsers: Any) -> None:
    parser = add_command(
        subparsers, "import-results", "put official result files on this leaderboard", _import
    )
    parser.add_argument("folder", type=Path, help="the evaluator's output folder, or many of them")
    parser.add_argument("--name", required=True, help="the evaluation's name on the table")
    parser.add_argument(
        "--policy",
        help="the policy's name; imports of one policy are repeated runs (default: NAME)",
    )
    parser.add_argument("--split", default="public", help="the split played (default: public)")
    parser.add_argument("--rollouts", type=int, default=1, help="rollouts due per instance")
    parser.add_argument(
        "--instances", type=Path,
        help="2025: the challenge's test_instances.csv, which numbers its instances",
    )  # fmt: skip


def _import(options: argparse.Namespace) -> int:
    from hearth.core.errors import SettingsError
    from hearth.evaluation.importing import Source, import_results

    settings, benchmark = settings_of(options)
    if options.rollouts < 1:
        raise SettingsError(f"--rollouts {options.rollouts}: valid are numbers from 1")
    source = Source(
        folder=options.folder,
        name=options.name,
        policy=options.policy or options.name,
        split=options.split,
        rollouts=options.rollouts,
        instances=options.instances,
    )
    record = import_results(settings, benchmark, source)
    for fault in record["faults"]:
        print(f"fault: {fault}", file=sys.stderr)
    print(
        f"{options.name}: {record['used']} results on split '{options.split}', "
        f"{len(record['faults'])} faults; `hearth report` puts it on the table"
    )
    return 0


def _add_submission(subparsers: Any) -> None:
    parser = add_command(
        subparsers, "submission", "write and check the folder that the challenge takes", _submit
    )
    parser.add_argument("--evaluation", required=True, help="an evaluation of official files")
    parser.add_argument("--output", type=Path, required=True, help="where the folder is written")
    parser.add_argument("--team", required=True)
    parser.add_argument("--affiliation", required=True)
    parser.add_argument("--date", required=True, help="YYYYMMDD, part of the folder's name")
    parser.add_argument("--track", default="standard", help="standard (default) or privileged")
    parser.add_argument(
        "--wrapper", type=Path, action="append", default=[], help="wrapper code (may be repeated)"
    )
    parser.add_argument("--robot-config", type=Path, help="the robot's YAML or JSON")
    parser.add_argument("--readme", type=Path, help="how to evaluate the policy")


def _submit(options: argparse.Namespace) -> int:
    from hearth.evaluation.submission import Submission, write_submission

    settings, benchmark = settings_of(options)
    submission = Submission(
        evaluation=options.evaluation,
        team=options.team,
        affiliation=options.affiliation,
        date=options.date,
        track=options.track,
        wrappers=tuple(options.wrapper),
        robot=options.robot_config,
        readme=options.readme,
    )
    written = write_submission(settings, benchmark, submission, options.output)
    print(f"{written.folder}: {written.results} results")
    for line in written.missing:
        print(f"missing: {line}", file=sys.stderr)
    return 1 if written.missing else 0


COMMANDS = (_add_import, _add_submission)
