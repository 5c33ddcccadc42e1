"""The leaderboard written: CSV files, a page, and a table on the terminal."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from hearth.core.errors import EvaluationError
from hearth.core.files import write_text
from hearth.core.sections import ReportSettings
from hearth.reporting.intervals import Difference, Interval
from hearth.reporting.leaderboard import Leaderboard, Row, build_leaderboard, gap_text
from hearth.reporting.merged import DISTANCES


def write_leaderboard(
    root: Path | str,
    evaluations: Sequence[str],
    tasks: Sequence[str],
    report: ReportSettings,
    seed: int,
) -> Leaderboard:
    """Merge, score and write ``<root>/leaderboard/``; the same inputs give the same bytes.

    Always writes, even with gaps: `Leaderboard.check_complete` tells whether that is an error.

    Args:
        root: the results root (``results/<experiment>``).
        evaluations: names; the page shows the first that is not the baseline in most detail.
        tasks: the tasks due, in the order in which they are shown.
        report: title, baseline, bootstrap samples, confidence.
        seed: the experiment's seed.

    Raises:
        EvaluationError: no evaluation or no task was named.
    """
    from hearth.reporting.page import write_page  # matplotlib and jinja2: only when drawing

    if not evaluations or not tasks:
        raise EvaluationError("a leaderboard needs at least one evaluation and one task")
    leaderboard = build_leaderboard(root, evaluations, tasks, report, seed)
    write_text(leaderboard.folder / "tasks.csv", _csv(leaderboard.task_rows))
    write_text(leaderboard.folder / "leaderboard.csv", _csv(leaderboard.rows))
    write_page(Path(root), leaderboard, report)
    return leaderboard


def print_table(leaderboard: Leaderboard, console: Console | None = None) -> None:
    """Print the leaderboard, faults and what is incomplete included."""
    console = console or Console(width=None if Console().is_terminal else 120)
    percent = f"{100 * leaderboard.confidence:g} % interval"
    table = Table(
        title=f"Leaderboard ({percent} in brackets)", title_justify="left", box=box.SIMPLE_HEAD,
        collapse_padding=True, pad_edge=False,
    )  # fmt: skip
    for name in ("", "evaluation"):
        table.add_column(name, no_wrap=True)
    for name in ("q", "success rate"):
        table.add_column(name, justify="right", no_wrap=True)
    if leaderboard.baseline:
        table.add_column(f"q against {leaderboard.baseline}", justify="right", no_wrap=True)
    table.add_column("episodes", justify="right", no_wrap=True)
    for row in leaderboard.rows:
        name = f"{row.evaluation}\n{row.split}" + ("" if row.complete else "\nINCOMPLETE")
        shown = [_interval_text(row.q), _interval_text(row.success)]
        shown += [_difference_text(row.difference)] if leaderboard.baseline else []
        style = "" if row.complete else "red"
        table.add_row(str(row.rank), name, *shown, str(row.episodes_due), style=style)
    console.print(table)
    # Said apart from the table too: a narrow terminal must not cut it off.
    for row in leaderboard.rows:
        if not row.complete:
            console.print(f"INCOMPLETE: {row.evaluation}: {gap_text(row)}", style="red")
    for fault in leaderboard.faults:
        console.print(f"fault: {fault}", style="red", markup=False, highlight=False)


def _interval_text(value: Interval) -> str:
    if value.low is None or value.high is None:
        return f"{value.estimate:.3f}"
    return f"{value.estimate:.3f}\n\\[{value.low:.3f}, {value.high:.3f}]"


def _difference_text(value: Difference | None) -> str:
    if value is None:
        return ""
    text = f"{value.estimate:+.3f}, p = {value.p_value:.2g}"
    if value.low is not None and value.high is not None:
        text += f"\n\\[{value.low:+.3f}, {value.high:+.3f}]"
    return text


def _csv(rows: Sequence[Row]) -> str:
    text = io.StringIO()
    cells = [_cells(row) for row in rows]
    writer = csv.DictWriter(text, fieldnames=list(cells[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(cells)
    return text.getvalue()


def _cells(row: Row) -> dict[str, str | int]:
    """One CSV line. Shares and scores have six digits; what is unknown is empty."""
    first: dict[str, str | int] = {"rank": row.rank} if row.rank is not None else {}
    first |= {"evaluation": row.evaluation, "policy": row.policy, "split": row.split}
    first |= {"task": row.task} if row.task is not None else {"tasks": row.tasks_due}
    difference = row.difference
    return first | {
        "episodes": row.episodes_due,
        "q": _number(row.q.estimate),
        "q_low": _number(row.q.low),
        "q_high": _number(row.q.high),
        "success_rate": _number(row.success.estimate),
        "success_rate_low": _number(row.success.low),
        "success_rate_high": _number(row.success.high),
        "time_score": _number(row.scores.time),
        **{f"{part}_distance_score": _number(row.scores.distance[part]) for part in DISTANCES},
        **row.counts,
        "mean_steps": _number(row.mean_steps),
        "complete": "yes" if row.complete else "INCOMPLETE",
        "difference": _number(difference and difference.estimate),
        "difference_low": _number(difference and difference.low),
        "difference_high": _number(difference and difference.high),
        "difference_p": _number(difference and difference.p_value),
        "paired_instances": difference.instances if difference else "",
    }


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"
