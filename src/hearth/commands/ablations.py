"""``hearth ablations``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from hearth.commands.options import add_command, settings_of
from hearth.core.errors import SettingsError

if TYPE_CHECKING:
    from hearth.reporting.ablations import Ablations


def _add_ablations(subparsers: Any) -> None:
    add_command(
        subparsers, "ablations", "write every ablation against the full system as table and chart",
        _ablations,
    )  # fmt: skip


def _ablations(options: argparse.Namespace) -> int:
    from hearth.core.results import Results
    from hearth.core.selection import select_tasks
    from hearth.evaluation.merge import ensure_merged
    from hearth.reporting.ablations import build_ablations, write_ablations

    settings, benchmark = settings_of(options)
    if settings.ablations is None:
        raise SettingsError(
            f"experiment '{settings.experiment}' has no section 'ablations': add one (base and "
            "variants), or merge a file of config/ablations over it"
        )
    tasks = select_tasks(settings, benchmark.task_names)
    for evaluation in (settings.ablations.base, *settings.ablations.variants):
        ensure_merged(settings, evaluation, tasks, benchmark)
    results = Results.of(settings)
    ablations = build_ablations(
        results.root, settings.ablations, tasks, settings.report, settings.seed
    )
    write_ablations(ablations)
    _print(ablations)
    print(f"table: {results.leaderboard / 'ablations.csv'}")
    ablations.board.check_complete(settings.report)
    return 0


def _print(ablations: Ablations) -> None:
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from hearth.reporting.wording import brackets, figure

    console = Console(width=None if Console().is_terminal else 120)
    table = Table(title=f"Ablations of {ablations.base}", title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("evaluation", "overrides"):
        table.add_column(name)
    for name in ("q", "difference", "p (Holm)"):
        table.add_column(name, justify="right", no_wrap=True)
    for ablation in ablations.overall:
        row, difference = ablation.row, ablation.row.difference
        name = row.evaluation + ("" if row.complete else "\nINCOMPLETE")
        shown = f"{figure(difference)} {escape(brackets(difference))}" if difference else ""
        p_holm = "" if ablation.p_holm is None else f"{ablation.p_holm:.3g}"
        overrides = ablation.overrides_text or "the full system"
        table.add_row(name, overrides, figure(row.q), shown.rstrip(), p_holm)
    console.print(table)
    for fault in ablations.board.faults:
        console.print(f"fault: {fault}", style="red", markup=False, highlight=False)


COMMANDS = (_add_ablations,)
