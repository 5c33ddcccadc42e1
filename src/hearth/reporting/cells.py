"""The leaderboard as flat tables: a mapping per line, for CSV, Parquet and Markdown."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hearth.core.files import atomic_path
from hearth.reporting.comparisons import Comparison, Comparisons
from hearth.reporting.intervals import Difference, Interval
from hearth.reporting.labels import FailureLabels, Reason
from hearth.reporting.leaderboard import Row
from hearth.reporting.merged import DISTANCES, STATUSES
from hearth.reporting.references import Reference

if TYPE_CHECKING:
    import pyarrow

Cells = dict[str, str | int | float | None]
_DIFFERENCE = ("difference", "difference_low", "difference_high", "difference_p")
COMPARISON_COLUMNS = (
    "split", "first", "second", "task", *_DIFFERENCE, "p_holm", "told_apart",
    "paired_instances", "more_instances", "noise_floor",
)  # fmt: skip
FAILURE_COLUMNS = ("evaluation", "split", "reason", "episodes", "share", "labelled", "failures")


def row_cells(row: Row) -> Cells:
    """A line of the leaderboard or of the table of tasks; what is unknown is None."""
    first: Cells = {"rank": row.rank} if row.rank is not None else {}
    first |= {"evaluation": row.evaluation, "policy": row.policy, "split": row.split}
    first |= {"task": row.task} if row.task is not None else {"tasks": row.tasks_due}
    return first | {
        "episodes": row.episodes_due,
        **_limits("q", row.q),
        **_limits("success_rate", row.success),
        **_limits("time_score", row.time),
        **{
            name: value
            for part in DISTANCES
            for name, value in _limits(f"{part}_distance_score", row.distance[part]).items()
        },
        **{status: row.counts[status] for status in STATUSES},
        "mean_steps": row.mean_steps,
        "complete": "yes" if row.complete else "INCOMPLETE",
        **_difference_cells(row.difference),
        "paired_instances": row.difference.instances if row.difference else None,
        **({"letters": row.letters} if row.task is None else {}),
    }


def _limits(name: str, value: Interval) -> Cells:
    return {name: value.estimate, f"{name}_low": value.low, f"{name}_high": value.high}


def reference_cells(reference: Reference, columns: Sequence[str]) -> Cells:
    """A published row in the columns of the leaderboard: it has no rank and no episodes here."""
    cells: Cells = dict.fromkeys(columns)
    return cells | {
        "evaluation": reference.team,
        "policy": f"published ({reference.affiliation})",
        "split": reference.split,
        "q": reference.q,
        "success_rate": reference.success_rate,
        "complete": "published",
    }


def comparison_cells(comparison: Comparison, comparisons: Comparisons, level: float) -> Cells:
    """A line of the comparisons; `task` is None where it is over all tasks."""
    names = {comparison.first, comparison.second}
    floors = [f.noise.difference for f in comparisons.floors if names & set(f.evaluations)]
    return {
        "split": comparison.split,
        "first": comparison.first,
        "second": comparison.second,
        "task": comparison.task,
        **_difference_cells(comparison.difference),
        "p_holm": comparison.p_holm,
        "told_apart": "yes" if comparison.p_holm <= level else "no",
        "paired_instances": comparison.difference.instances,
        "more_instances": comparison.more_instances,
        "noise_floor": max(floors) if floors and comparison.task is None else None,
    }


def failure_cells(labels: FailureLabels, reason: Reason) -> Cells:
    """A line of the failure reasons: in how many labelled episodes, and in which share of them."""
    return {
        "evaluation": labels.evaluation,
        "split": labels.split,
        "reason": reason.name,
        "episodes": labels.episodes(reason.name),
        "share": labels.share(reason.name),
        "labelled": labels.labelled,
        "failures": labels.failures,
    }


def _difference_cells(difference: Difference | None) -> Cells:
    if difference is None:
        return dict.fromkeys(_DIFFERENCE)
    values = (difference.estimate, difference.low, difference.high, difference.p_value)
    return dict(zip(_DIFFERENCE, values, strict=True))


def csv_text(lines: Sequence[Cells], columns: Sequence[str]) -> str:
    """CSV with six digits behind the point; what is unknown is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(columns), lineterminator="\n")
    writer.writeheader()
    for line in lines:
        writer.writerow({column: _text(line[column]) for column in columns})
    return text.getvalue()


def _text(value: str | int | float | None) -> str | int:
    if value is None:
        return ""
    return f"{value:.6f}" if isinstance(value, float) else value


def write_parquet(path: Path, lines: Sequence[Cells], columns: Sequence[str]) -> None:
    """The same lines with full precision and null for what is unknown."""
    import pyarrow  # heavy: only when writing
    from pyarrow import parquet

    arrays = [_array(_column(lines, column)) for column in columns]
    with atomic_path(path) as temporary:
        parquet.write_table(pyarrow.table(arrays, names=list(columns)), temporary)


def _array(values: Sequence[str | int | float | None]) -> pyarrow.Array:
    """Values of one type, from buffers: `pyarrow.array` imports all of pandas to look at a list."""
    import pyarrow

    present = np.array([value is not None for value in values], dtype=bool)
    if not present.any():
        return pyarrow.nulls(len(values))
    known = None if present.all() else pyarrow.py_buffer(np.packbits(present, bitorder="little"))
    if any(isinstance(value, str) for value in values):
        texts = [b"" if value is None else str(value).encode() for value in values]
        ends = np.cumsum([0, *map(len, texts)], dtype=np.int32)
        return pyarrow.StringArray.from_buffers(
            len(values), pyarrow.py_buffer(ends), pyarrow.py_buffer(b"".join(texts)), known
        )
    fractions = any(isinstance(value, float) for value in values)
    numbers = np.array(
        [0 if value is None else value for value in values],
        dtype=np.float64 if fractions else np.int64,
    )
    kind = pyarrow.float64() if fractions else pyarrow.int64()
    return pyarrow.Array.from_buffers(kind, len(values), [known, pyarrow.py_buffer(numbers)])


def _column(lines: Sequence[Cells], column: str) -> list[Any]:
    """Values of one type: a column with a fraction holds no whole numbers."""
    values = [line[column] for line in lines]
    if any(isinstance(value, float) for value in values):
        return [None if value is None else float(value) for value in values]
    return values
