"""The leaderboard written: CSV, Parquet, Markdown, a page, and a table on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hearth.core.ablations import AblationSettings
from hearth.core.errors import EvaluationError
from hearth.core.files import write_text
from hearth.core.sections import ReportSettings
from hearth.reporting import wording
from hearth.reporting.ablations import build_ablations
from hearth.reporting.cells import (
    COMPARISON_COLUMNS,
    FAILURE_COLUMNS,
    Cells,
    comparison_cells,
    csv_text,
    failure_cells,
    reference_cells,
    row_cells,
    write_parquet,
)
from hearth.reporting.intervals import Difference, Interval
from hearth.reporting.leaderboard import Leaderboard, build_leaderboard, gap_text
from hearth.reporting.markdown import markdown


def write_leaderboard(
    root: Path | str,
    evaluations: Sequence[str],
    tasks: Sequence[str],
    report: ReportSettings,
    seed: int,
    benchmark: str | None = None,
    human_lengths: Mapping[str, float] | None = None,
    ablations: AblationSettings | None = None,
) -> Leaderboard:
    """Merge, score and write ``<root>/leaderboard/``; the same inputs give the same bytes.

    Always writes, even with gaps: `Leaderboard.check_complete` tells whether that is an error.

    Args:
        root: the results root (``results/<experiment>``).
        evaluations: names; the page shows the first that is not the baseline in most detail.
        tasks: the tasks due, in the order in which they are shown.
        report: title, baseline, bootstrap samples, confidence.
        seed: the experiment's seed.
        benchmark: whose published results stand beside ours; None: none.
        human_lengths: mean human length of each task, which orders the heat map of episodes.
        ablations: those to show on the page; None: none.

    Raises:
        EvaluationError: no evaluation or no task was named.
    """
    from hearth.reporting.page import write_page  # matplotlib and jinja2: only when drawing

    if not evaluations or not tasks:
        raise EvaluationError("a leaderboard needs at least one evaluation and one task")
    leaderboard = build_leaderboard(
        root, evaluations, tasks, report, seed, benchmark, human_lengths
    )
    folder = leaderboard.folder
    _write(folder, "tasks", [row_cells(row) for row in leaderboard.task_rows])
    lines = [row_cells(row) for row in leaderboard.rows]
    published = [reference_cells(each, list(lines[0])) for each in leaderboard.references]
    _write(folder, "leaderboard", lines + published)
    compared = leaderboard.comparisons
    level = 1.0 - leaderboard.confidence
    pairs = [comparison_cells(c, compared, level) for c in (*compared.pairs, *compared.tasks)]
    _write(folder, "comparisons", pairs, COMPARISON_COLUMNS)
    failures = [
        failure_cells(labels, reason)
        for labels in leaderboard.labels
        if labels.labelled
        for reason in leaderboard.reasons
    ]
    _write(folder, "failures", failures, FAILURE_COLUMNS)
    write_text(folder / "leaderboard.md", markdown(leaderboard, report.title))
    ablated = build_ablations(root, ablations, tasks, report, seed) if ablations else None
    write_page(Path(root), leaderboard, report, ablated)
    return leaderboard


def _write(
    folder: Path, name: str, lines: Sequence[Cells], columns: Sequence[str] | None = None
) -> None:
    """Write ``<name>.csv`` and ``<name>.parquet``; `columns` where there may be no line."""
    columns = columns or list(lines[0])
    write_text(folder / f"{name}.csv", csv_text(lines, columns))
    write_parquet(folder / f"{name}.parquet", lines, columns)


def print_table(leaderboard: Leaderboard, console: Console | None = None) -> None:
    """Print the leaderboard, faults and what is incomplete included."""
    console = console or Console(width=None if Console().is_terminal else 120)
    percent = f"{100 * leaderboard.confidence:g} % interval"
    table = Table(
        title=f"Leaderboard ({percent} in brackets)", title_justify="left", box=box.SIMPLE_HEAD,
        collapse_padding=True, pad_edge=False,
    )  # fmt: skip
    for name in ("", "evaluation", ""):
        table.add_column(name, no_wrap=True)
    for name in ("q", "success rate"):
        table.add_column(name, justify="right", no_wrap=True)
    if leaderboard.baseline:
        table.add_column(f"q against {leaderboard.baseline}", justify="right", no_wrap=True)
    table.add_column("episodes", justify="right", no_wrap=True)
    for rows, published in leaderboard.by_split.values():
        for row in rows:
            name = f"{row.evaluation}\n{row.split}" + ("" if row.complete else "\nINCOMPLETE")
            shown = [row.letters, _interval_text(row.q), _interval_text(row.success)]
            shown += [_difference_text(row.difference)] if leaderboard.baseline else []
            style = "" if row.complete else "red"
            table.add_row(str(row.rank), name, *shown, str(row.episodes_due), style=style)
        for row in published:
            name = f"{escape(row.team)}\n{row.split}, published"
            shown = ["", f"{row.q:.4f}", f"{row.success_rate:.4f}"]
            shown += [""] if leaderboard.baseline else []
            table.add_row("", name, *shown, "", style="dim")
    console.print(table)
    if any(row.letters for row in leaderboard.rows):
        console.print("Evaluations that share a letter cannot be told apart.")
    for floor in leaderboard.comparisons.floors:
        console.print(wording.noise(floor, leaderboard.confidence), markup=False, highlight=False)
    # Said apart from the table too: a narrow terminal must not cut it off.
    for row in leaderboard.rows:
        if not row.complete:
            console.print(f"INCOMPLETE: {row.evaluation}: {gap_text(row)}", style="red")
    for fault in leaderboard.faults:
        console.print(f"fault: {fault}", style="red", markup=False, highlight=False)


def _interval_text(value: Interval) -> str:
    return f"{wording.figure(value)}\n{escape(wording.brackets(value))}".rstrip()


def _difference_text(value: Difference | None) -> str:
    if value is None:
        return ""
    head = f"{wording.figure(value)}, p = {value.p_value:.2g}"
    return f"{head}\n{escape(wording.brackets(value))}".rstrip()
