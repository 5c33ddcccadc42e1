"""``hearth import-results`` and ``hearth submission``: files of the official evaluators."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hearth.commands.options import add_command, settings_of
from hearth.core.errors import SettingsError
from hearth.core.files import hash_file, write_json
from hearth.core.publishing import SubmissionSettings
from hearth.core.results import Results
from hearth.core.settings import Settings

if TYPE_CHECKING:
    from hearth.evaluation.submission import Submission


def _add_import(subparsers: Any) -> None:
    parser = add_command(
        subparsers, "import-results", "put official result files on this leaderboard", _import
    )
    parser.add_argument(
        "folder", type=Path, nargs="?",
        help="the evaluator's output folder, or a folder of many; none: the section 'imports' of "
        "the experiment describes NAME, and what was imported before is replaced",
    )  # fmt: skip
    parser.add_argument("--name", required=True, help="the evaluation's name on the table")
    parser.add_argument(
        "--policy",
        help="the policy's name; imports of one policy are repeated runs (default: NAME)",
    )
    parser.add_argument("--split", help="the split played (default: public)")
    parser.add_argument("--rollouts", type=int, help="rollouts due per instance (default: 1)")
    parser.add_argument(
        "--instances", type=Path,
        help="2025: the challenge's test_instances.csv, which numbers its instances",
    )  # fmt: skip


def _import(options: argparse.Namespace) -> int:
    from hearth.evaluation.importing import Source, import_results

    settings, benchmark = settings_of(options)
    fields = ("policy", "split", "rollouts", "instances")
    given = {key: getattr(options, key) for key in fields if getattr(options, key) is not None}
    if given.get("rollouts", 1) < 1:
        raise SettingsError(f"--rollouts {options.rollouts}: valid are numbers from 1")
    if options.folder is None:
        source = replace(Source.of(settings, options.name), **given)
    elif options.name in settings.imports:
        raise SettingsError(
            f"--name '{options.name}' is a section of 'imports', whose folder is "
            f"{settings.imports[options.name].folder}: leave out {options.folder}, or choose "
            "another name"
        )
    else:
        named = {"name": options.name, "policy": options.name, **given}
        source = Source(folder=options.folder, **named)
    record = import_results(settings, benchmark, source, replace=options.folder is None)
    for fault in record["faults"]:
        print(f"fault: {fault}", file=sys.stderr)
    print(
        f"{options.name}: {record['used']} results on split '{source.split}', "
        f"{len(record['faults'])} faults; `hearth report` puts it on the table"
    )
    return 0


def _add_submission(subparsers: Any) -> None:
    parser = add_command(
        subparsers, "submission", "write and check the folder that the challenge takes", _submit
    )
    group = parser.add_argument_group(
        "fields", "what is not given stands in the section 'submission' of the experiment"
    )
    group.add_argument("--evaluation", help="an evaluation of official files")
    group.add_argument("--team")
    group.add_argument("--affiliation")
    group.add_argument("--date", help="YYYYMMDD, part of the folder's name")
    group.add_argument("--track", help="standard (default) or privileged")
    group.add_argument("--wrapper", type=Path, action="append", help="its code (may be repeated)")
    group.add_argument("--robot-config", type=Path, help="the robot's YAML or JSON")
    group.add_argument("--readme", type=Path, help="how to evaluate the policy")
    parser.add_argument(
        "--output", type=Path,
        help="where the folder is written (default: results/<experiment>/submission)",
    )  # fmt: skip
    parser.add_argument(
        "--replace", action="store_true",
        help="write an existing folder anew, unless somebody changed it",
    )  # fmt: skip


def _submit(options: argparse.Namespace) -> int:
    from hearth.evaluation.submission import SUMS, write_submission

    settings, benchmark = settings_of(options)
    results = Results.of(settings)
    submission = _submission(options, settings)
    output = options.output or results.submission
    # What the workflow waits for says that the section's folder is complete.
    section = settings.submission
    awaited = section is not None and (output, submission) == (
        results.submission, _of_section(section),
    )  # fmt: skip
    if awaited:
        results.submitted.unlink(missing_ok=True)
    written = write_submission(settings, benchmark, submission, output, replace=options.replace)
    print(f"{written.folder}: {written.results} results")
    for line in written.missing:
        print(f"missing: {line}", file=sys.stderr)
    if awaited and not written.missing:
        sums = hash_file(written.folder / SUMS)
        record = {"folder": written.folder.name, "results": written.results, "sums": sums}
        write_json(results.submitted, record)
    return 1 if written.missing else 0


def _submission(options: argparse.Namespace, settings: Settings) -> Submission:
    """What the options say, and the section where they say nothing.

    Raises:
        SettingsError: neither gives a field without which there is no folder.
    """
    from hearth.evaluation.submission import Submission

    section = {} if settings.submission is None else vars(_of_section(settings.submission))
    given = {
        "evaluation": options.evaluation, "team": options.team, "date": options.date,
        "affiliation": options.affiliation, "track": options.track,
        "wrappers": options.wrapper and tuple(options.wrapper),
        "robot": options.robot_config, "readme": options.readme,
    }  # fmt: skip
    values = {**section, **{key: value for key, value in given.items() if value is not None}}
    for field in ("evaluation", "team", "affiliation", "date"):
        if field not in values:
            raise SettingsError(f"give --{field}, or submission.{field} in {options.config}")
    return Submission(**values)


def _of_section(section: SubmissionSettings) -> Submission:
    from hearth.evaluation.submission import Submission

    return Submission(
        evaluation=section.evaluation,
        team=section.team,
        affiliation=section.affiliation,
        date=section.date,
        track=section.track,
        wrappers=tuple(map(Path, section.wrappers)),
        robot=None if section.robot_config is None else Path(section.robot_config),
        readme=None if section.readme is None else Path(section.readme),
    )


COMMANDS = (_add_import, _add_submission)
