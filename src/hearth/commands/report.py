"""``hearth report``."""

from __future__ import annotations

import argparse
from typing import Any

from hearth.commands.options import add_command, settings_of


def _add_report(subparsers: Any) -> None:
    parser = add_command(
        subparsers, "report", "write the leaderboard tables, figures and page", _report
    )
    parser.add_argument(
        "--show", action="store_true", help="print the table of an existing leaderboard only"
    )


def _report(options: argparse.Namespace) -> int:
    from hearth.core.errors import EvaluationError
    from hearth.core.locks import alone
    from hearth.core.results import Results
    from hearth.core.selection import select_tasks
    from hearth.evaluation.merge import ensure_merged
    from hearth.reporting.leaderboard import build_leaderboard
    from hearth.reporting.tables import print_table, write_leaderboard

    settings, benchmark = settings_of(options)
    tasks = select_tasks(settings, benchmark.task_names)
    results = Results.of(settings)
    if not options.show:
        for evaluation in settings.evaluation_names:
            ensure_merged(settings, evaluation, tasks, benchmark)
    imported = results.imported_evaluations()
    for name in settings.imports:
        if name not in imported:
            raise EvaluationError(
                f"imports.{name} was not imported yet: hearth import-results --name {name}"
            )
    evaluations = [*settings.evaluations, *imported]
    lengths = {task.name: task.human_length_frames for task in benchmark.tasks}
    arguments = (
        results.root, evaluations, tasks, settings.report, settings.seed, benchmark.name, lengths,
    )  # fmt: skip
    if options.show:
        leaderboard = build_leaderboard(*arguments)
    else:
        with alone(results.lock("leaderboard"), "writing the leaderboard"):
            leaderboard = write_leaderboard(*arguments, ablations=settings.ablations)
    print_table(leaderboard)
    print(f"page: {results.leaderboard / 'index.html'}")
    leaderboard.check_complete(settings.report)
    return 0


COMMANDS = (_add_report,)
