"""The leaderboard as ``leaderboard.md``: what a pull request shows."""

from __future__ import annotations

from collections.abc import Sequence

from hearth.reporting import wording
from hearth.reporting.comparisons import Comparison
from hearth.reporting.intervals import Difference, Interval
from hearth.reporting.leaderboard import Leaderboard, Row, gap_text
from hearth.reporting.references import Reference


def markdown(board: Leaderboard, title: str) -> str:
    """Tables by split, published rows, comparisons, gaps and faults."""
    parts = [f"# {_plain(title)}", ""]
    percent = f"{100 * board.confidence:g} %"
    letters = " Evaluations that share a letter cannot be told apart."
    parts.append(f"q-score and success rate with {percent} intervals.")
    if board.comparisons.pairs:
        parts[-1] += letters
    parts.append("")
    if not board.complete:
        gaps = [f"{row.evaluation} ({gap_text(row)})" for row in board.rows if not row.complete]
        parts += [f"**INCOMPLETE**: {_plain('; '.join(gaps))}", ""]
    for split, (rows, published) in board.by_split.items():
        parts += [f"## {split.capitalize()} instances", "", *_table(rows, published, board), ""]
    for floor in board.comparisons.floors:
        parts += [_plain(wording.noise(floor, board.confidence)), ""]
    if board.comparisons.pairs:
        parts += ["## Comparisons", "", *_comparisons(board.comparisons.pairs), ""]
    if board.faults:
        parts += ["## Faults", "", *[f"- {_plain(fault)}" for fault in board.faults], ""]
    return "\n".join(parts)


def _table(rows: Sequence[Row], published: Sequence[Reference], board: Leaderboard) -> list[str]:
    head = ["Rank", "Evaluation", "", "q", "Success rate", "Time", "Episodes"]
    head += [f"q against {board.baseline}"] if board.baseline else []
    lines = [head, ["--:", "---", "---", "---", "---", "--:", "--:"]]
    lines[1] += ["---"] if board.baseline else []
    for row in rows:
        name = _plain(row.evaluation) + " (imported)" * row.imported
        name += "" if row.complete else " **INCOMPLETE**"
        cells = [str(row.rank), name, row.letters, _interval(row.q), _interval(row.success)]
        cells += [_interval(row.time), str(row.episodes_due)]
        cells += [_difference(row.difference)] if board.baseline else []
        lines.append(cells)
    for row in published:
        name = f"{_plain(row.team)} (published)"
        cells = ["", name, "", f"{row.q:.4f}", f"{row.success_rate:.4f}", "", ""]
        lines.append(cells + ([""] if board.baseline else []))
    return [f"| {' | '.join(cells)} |" for cells in lines]


def _comparisons(pairs: Sequence[Comparison]) -> list[str]:
    lines = ["| Pair | Difference of q | p (Holm) | More instances |", "|---|---|--:|--:|"]
    for pair in pairs:
        names = f"{_plain(pair.first)} against {_plain(pair.second)}"
        lines.append(
            f"| {names} | {_difference(pair.difference)} | {pair.p_holm:.3g} "
            f"| {more_text(pair.more_instances)} |"
        )
    return lines


def more_text(more: int | None) -> str:
    """How many more instances would settle a comparison, in words."""
    if more is None:
        return "cannot be said"
    return f"{more:,} more" if more else "settled"


def _interval(value: Interval | Difference) -> str:
    return f"{wording.figure(value)} {wording.brackets(value)}".rstrip()


def _difference(value: Difference | None) -> str:
    return "" if value is None else f"{_interval(value)}, p = {value.p_value:.2g}"


def _plain(text: str) -> str:
    """Text that Markdown must not read as markup."""
    for mark in "\\`*_[]<>|#":
        text = text.replace(mark, f"\\{mark}")
    return text
