"""Ablations: every variant against the full system on the same instances."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hearth.core.ablations import TRAINING, AblationSettings
from hearth.core.files import write_text
from hearth.core.sections import ReportSettings
from hearth.reporting.cells import Cells, csv_text, row_cells, write_parquet
from hearth.reporting.leaderboard import Leaderboard, Row, build_leaderboard
from hearth.reporting.scoring import paired_differences
from hearth.reporting.significance import holm, instances_to_settle

_SCORES = (
    "split", "episodes", "q", "q_low", "q_high", "success_rate", "success_rate_low",
    "success_rate_high", "time_score", "mean_steps",
)  # fmt: skip
_DIFFERENCE = ("difference", "difference_low", "difference_high", "difference_p")
COLUMNS = (
    "ablation", "overrides", "task", *_SCORES, *_DIFFERENCE, "p_holm", "told_apart",
    "paired_instances", "more_instances", "complete",
)  # fmt: skip


@dataclass(frozen=True)
class Ablation:
    """One variant, overall or on a task, and its difference from the full system.

    Attributes:
        name: of the evaluation.
        overrides: of the full system's runtime, and of its training below the keys `model`, `run`
            and `statistics`; empty for the full system itself.
        row: its scores; `row.difference` is its q less that of the full system, paired; None for
            the full system and where no episode is shared.
        p_holm: the p-value corrected by Holm: overall across the variants, on a task across the
            tasks of the variant. None without a difference.
        more_instances: as in `hearth.reporting.comparisons.Comparison`.
    """

    name: str
    overrides: Mapping[str, Any]
    row: Row
    p_holm: float | None
    more_instances: int | None

    @property
    def overrides_text(self) -> str:
        """E.g. "actions_to_execute=26, model.kv_mixing=false"."""
        pairs = []
        for key, value in self.overrides.items():
            training = value if key in TRAINING else {}
            pairs += [(f"{key}.{name}", item) for name, item in training.items()] or [(key, value)]
        return ", ".join(f"{key}={json.dumps(value)}" for key, value in pairs)


@dataclass(frozen=True)
class Ablations:
    """The full system first, then its variants in the order of the settings."""

    base: str
    overall: tuple[Ablation, ...]
    tasks: tuple[Ablation, ...]
    board: Leaderboard

    @property
    def variants(self) -> tuple[Ablation, ...]:
        """Without the full system."""
        return self.overall[1:]

    @property
    def level(self) -> float:
        """The level of significance that belongs to the intervals."""
        return 1.0 - self.board.confidence

    def told_apart(self, ablation: Ablation) -> bool:
        """Whether it differs from the full system, after the correction."""
        return ablation.p_holm is not None and ablation.p_holm <= self.level


def build_ablations(
    root: Path | str,
    settings: AblationSettings,
    tasks: Sequence[str],
    report: ReportSettings,
    seed: int,
) -> Ablations:
    """Score the variants from their merged results; writes nothing.

    The correction is over the comparisons with the full system alone: the variants are not
    compared with each other.

    Args:
        root: the results root (``results/<experiment>``).
        settings: the full system and its variants.
        tasks: the tasks due.
        report: bootstrap samples and confidence.
        seed: the experiment's seed.
    """
    names = [settings.base, *settings.variants]
    against = report.model_copy(update={"baseline": settings.base})
    board = build_leaderboard(root, names, tasks, against, seed)
    rows = {row.evaluation: row for row in board.rows}
    overrides = {settings.base: {}, **settings.variants}
    overall = _corrected(board, [rows[name] for name in names], overrides)
    by_task = [
        _corrected(board, [row for row in board.task_rows if row.evaluation == name], overrides)
        for name in names
    ]
    return Ablations(settings.base, overall, tuple(a for each in by_task for a in each), board)


def _corrected(
    board: Leaderboard, rows: Sequence[Row], overrides: Mapping[str, Mapping[str, Any]]
) -> tuple[Ablation, ...]:
    """One family of comparisons: their p-values are corrected together."""
    p_values = [row.difference.p_value for row in rows if row.difference]
    adjusted = iter(holm(p_values))
    by_name = {evaluation.name: evaluation for evaluation in board.evaluations}
    strata = {
        name: paired_differences(by_name[name], by_name[str(board.baseline)])
        for name in {row.evaluation for row in rows if row.difference}
    }
    ablations = []
    for row in rows:
        p_holm, more = None, None
        if row.difference:
            p_holm = next(adjusted)
            of_tasks = strata[row.evaluation]
            used = [of_tasks[row.task]] if row.task else list(of_tasks.values())
            more = instances_to_settle(used, p_holm, 1.0 - board.confidence, len(p_values))
        ablations.append(Ablation(row.evaluation, overrides[row.evaluation], row, p_holm, more))
    return tuple(ablations)


def ablation_cells(ablations: Ablations, ablation: Ablation) -> Cells:
    """A line of ``ablations.csv``; `task` is None where it is over all tasks."""
    cells = row_cells(ablation.row)
    told_apart = "yes" if ablations.told_apart(ablation) else "no"
    return {
        "ablation": ablation.name,
        "overrides": ablation.overrides_text,
        "task": ablation.row.task,
        **{key: cells[key] for key in (*_SCORES, *_DIFFERENCE, "paired_instances", "complete")},
        "p_holm": ablation.p_holm,
        "told_apart": None if ablation.p_holm is None else told_apart,
        "more_instances": ablation.more_instances,
    }


def write_ablations(ablations: Ablations) -> None:
    """Write ``ablations`` as CSV, Parquet and chart into the leaderboard's folder.

    Always writes, even with gaps: `Ablations.board.check_complete` tells whether that is an error.
    """
    from hearth.reporting.ablation_figure import draw_ablations  # matplotlib: only when drawing
    from hearth.reporting.figures import write_figure

    folder = ablations.board.folder
    lines = [ablation_cells(ablations, a) for a in (*ablations.overall, *ablations.tasks)]
    write_text(folder / "ablations.csv", csv_text(lines, COLUMNS))
    write_parquet(folder / "ablations.parquet", lines, COLUMNS)
    write_figure(folder, "ablations", draw_ablations(ablations))
