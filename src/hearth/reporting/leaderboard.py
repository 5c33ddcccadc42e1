"""The leaderboard as a value: one row per evaluation and per task, with intervals."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hearth.core import seeds
from hearth.core.errors import EvaluationError
from hearth.core.results import Results
from hearth.core.sections import ReportSettings
from hearth.reporting import intervals, scoring
from hearth.reporting.comparisons import Comparisons, Pairing, compare
from hearth.reporting.intervals import Difference, Interval
from hearth.reporting.labels import FailureLabels, Reason, load_reasons, read_labels
from hearth.reporting.merged import DISTANCES, STATUSES, Evaluation, TaskResult
from hearth.reporting.merged_files import load_evaluation
from hearth.reporting.references import Reference, load_references


@dataclass(frozen=True)
class Row:
    """One line of the leaderboard, or of the table of tasks (then `task` is set, `rank` is not).

    `letters`: rows of a split that share one cannot be told apart (empty in the table of tasks).
    `difference` is this row's q minus the baseline's on the same episodes; None for the baseline
    itself, without a baseline, or when no episode is shared.
    """

    evaluation: str
    policy: str
    split: str
    task: str | None
    rank: int | None
    tasks_due: int
    tasks_absent: int
    episodes_due: int
    q: Interval
    success: Interval
    scores: scoring.Scores
    time: Interval
    distance: dict[str, Interval]
    mean_steps: float | None
    counts: dict[str, int]
    complete: bool
    imported: bool
    letters: str
    difference: Difference | None


@dataclass(frozen=True)
class Leaderboard:
    """What was written: rows best first within each split, and every fault that was met.

    `by_duration`: the tasks due, the shortest for a person first, where lengths are known.
    `labels`: the failure labels of each of `evaluations`; `reasons`: what labels can say.
    """

    folder: Path
    rows: tuple[Row, ...]
    task_rows: tuple[Row, ...]
    evaluations: tuple[Evaluation, ...]
    baseline: str | None
    confidence: float
    faults: tuple[str, ...]
    seed: int
    comparisons: Comparisons
    references: tuple[Reference, ...]
    by_duration: tuple[str, ...]
    reasons: tuple[Reason, ...]
    labels: tuple[FailureLabels, ...]

    @property
    def complete(self) -> bool:
        return all(row.complete for row in self.rows)

    @property
    def by_split(self) -> dict[str, tuple[list[Row], list[Reference]]]:
        """Our rows and the published ones of every split that has any, ours first."""
        splits = dict.fromkeys(row.split for row in (*self.rows, *self.references))
        return {
            split: (
                [row for row in self.rows if row.split == split],
                [row for row in self.references if row.split == split],
            )
            for split in splits
        }

    def check_complete(self, report: ReportSettings) -> None:
        """Raise unless every episode due has a result or the settings allow gaps.

        Gaps of imported evaluations are shown and no error: nothing here can fill them.

        Raises:
            EvaluationError: naming the evaluations with crashed or missing episodes.
        """
        lacking = [row for row in self.rows if not row.complete and not row.imported]
        if not lacking or report.allow_incomplete:
            return
        gaps = [f"{row.evaluation} ({gap_text(row)})" for row in lacking]
        raise EvaluationError(
            f"the leaderboard is INCOMPLETE: {'; '.join(gaps)}. Run again to play only what is "
            "crashed or missing, or set report.allow_incomplete=true"
        )


def gap_text(row: Row) -> str:
    """What a row lacks, in words, e.g. "2 crashed, 1 task without a result"."""
    parts = [f"{row.counts[s]} {s}" for s in ("crashed", "missing") if row.counts[s]]
    if row.tasks_absent:
        parts.append(f"{row.tasks_absent} task{'s' * (row.tasks_absent > 1)} without a result")
    return ", ".join(parts)


def build_leaderboard(
    root: Path | str,
    evaluations: Sequence[str],
    tasks: Sequence[str],
    report: ReportSettings,
    seed: int,
    benchmark: str | None = None,
    human_lengths: Mapping[str, float] | None = None,
) -> Leaderboard:
    """The leaderboard as a value; writes nothing. Arguments as `tables.write_leaderboard`."""
    loaded = tuple(load_evaluation(root, name, tasks, benchmark) for name in evaluations)
    baseline = next((item for item in loaded if item.name == report.baseline), None)
    pairing = Pairing(report, seed)
    statistician = _Statistician(pairing, baseline)
    rows = _ranked([statistician.overall_row(evaluation) for evaluation in loaded])
    by_name = {evaluation.name: evaluation for evaluation in loaded}
    reasons = load_reasons()
    labelled = [read_labels(root, evaluation, reasons) for evaluation in loaded]
    comparisons = compare(pairing, [by_name[row.evaluation] for row in rows])
    return Leaderboard(
        folder=Results(Path(root)).leaderboard,
        rows=tuple(replace(row, letters=comparisons.letters_of(row.evaluation)) for row in rows),
        task_rows=tuple(row for item in loaded for row in statistician.task_rows(item)),
        evaluations=loaded,
        baseline=baseline.name if baseline else None,
        confidence=report.confidence,
        faults=tuple(
            fault
            for item, (_, of_labels) in zip(loaded, labelled, strict=True)
            for fault in (*item.faults, *of_labels)
        ),
        seed=seed,
        comparisons=comparisons,
        references=load_references(benchmark),
        by_duration=_by_duration(tasks, human_lengths or {}),
        reasons=reasons,
        labels=tuple(labels for labels, _ in labelled),
    )


def _by_duration(tasks: Sequence[str], human_lengths: Mapping[str, float]) -> tuple[str, ...]:
    """Tasks by mean human length, as the report orders them (figure 9); unknown ones last."""
    return tuple(sorted(tasks, key=lambda task: human_lengths.get(task, math.inf)))


class _Statistician:
    """Makes rows; every number's randomness derives from its own name, not from the order."""

    def __init__(self, pairing: Pairing, baseline: Evaluation | None) -> None:
        self.pairing, self.baseline = pairing, baseline
        self.report, self.seed = pairing.report, pairing.seed

    def _arguments(self, *names: str) -> tuple:
        index = [zlib.crc32(name.encode()) for name in names]
        generator = seeds.generator(self.seed, "bootstrap", *index)
        return self.report.bootstrap_samples, self.report.confidence, generator

    def overall_row(self, evaluation: Evaluation) -> Row:
        name, counts = evaluation.name, evaluation.counts
        results = [evaluation.results.get(task) for task in evaluation.tasks]
        scores = scoring.overall_scores(evaluation)
        episodes = [e for result in evaluation.results.values() for e in result.episodes]
        return Row(
            evaluation=name,
            policy=evaluation.policy,
            split=evaluation.split,
            task=None,
            rank=None,
            tasks_due=len(evaluation.tasks),
            tasks_absent=len(evaluation.absent_tasks),
            episodes_due=evaluation.episodes_due,
            q=self._interval(scoring.strata(evaluation, scoring.q_score), name, "q"),
            success=self._interval(scoring.strata(evaluation, scoring.is_success), name, "success"),
            scores=scores,
            **self._unbounded(results, scores, name),
            mean_steps=scoring.mean_steps(episodes),
            counts=counts,
            complete=evaluation.complete,
            imported=evaluation.imported,
            letters="",
            difference=self._difference(evaluation),
        )

    def task_rows(self, evaluation: Evaluation) -> list[Row]:
        return [
            self._task_row(evaluation, task, evaluation.results.get(task))
            for task in evaluation.tasks
        ]

    def _task_row(self, evaluation: Evaluation, task: str, result: TaskResult | None) -> Row:
        name = evaluation.name
        values = [scoring.by_instance(result, scoring.q_score)] if result else [_NONE]
        scores = scoring.task_scores(result) if result else _NO_SCORES
        successes = [scoring.by_instance(result, scoring.is_success)] if result else [_NONE]
        return Row(
            evaluation=name,
            policy=result.policy if result else "",
            split=evaluation.split,
            task=task,
            rank=None,
            tasks_due=1,
            tasks_absent=int(result is None),
            episodes_due=len(result.episodes) if result else 0,
            q=self._interval(values, name, "q", task),
            success=self._interval(successes, name, "success", task),
            scores=scores,
            **self._unbounded([result], scores, name, task),
            mean_steps=scoring.mean_steps(result.episodes) if result else None,
            counts=result.counts if result else dict.fromkeys(STATUSES, 0),
            complete=result is not None and result.complete,
            imported=evaluation.imported,
            letters="",
            difference=self._difference(evaluation, task),
        )

    def _unbounded(
        self, results: Sequence[TaskResult | None], scores: scoring.Scores, name: str, *task: str
    ) -> dict[str, Any]:
        """`time` and `distance` of a row: the official scores with their limits."""
        found = {}
        for which, official in {"time": scores.time, **scores.distance}.items():
            strata = [
                scoring.by_instance(result, scoring.unbounded_scores(result)[which])
                if result
                else _NONE
                for result in results
            ]
            samples, confidence, generator = self._arguments(name, which, *task)
            samples = min(samples, _FEWER_SAMPLES)
            interval = intervals.bootstrap_interval(strata, samples, confidence, generator, None)
            found[which] = replace(interval, estimate=official)
        return {"time": found.pop("time"), "distance": found}

    def _interval(self, strata: list, *names: str) -> Interval:
        return intervals.bootstrap_interval(strata, *self._arguments(*names))

    def _difference(self, evaluation: Evaluation, task: str | None = None) -> Difference | None:
        if self.baseline is None or evaluation.name == self.baseline.name:
            return None
        return self.pairing.difference(evaluation, self.baseline, task)


_FEWER_SAMPLES = 2000  # of time and distances: four scores, which nobody is ranked by
_NONE = np.zeros(0)
_NO_SCORES = scoring.Scores(0.0, 0.0, 0.0, dict.fromkeys(DISTANCES, 0.0))


def _ranked(rows: list[Row]) -> tuple[Row, ...]:
    """Rows grouped by split (in order of appearance), best q first; equal q, equal rank."""
    splits = list(dict.fromkeys(row.split for row in rows))
    ordered = sorted(rows, key=lambda row: (splits.index(row.split), -row.q.estimate))
    return tuple(replace(row, rank=1 + _better(row, rows)) for row in ordered)


def _better(row: Row, rows: list[Row]) -> int:
    return sum(r.split == row.split and r.q.estimate > row.q.estimate + 1e-12 for r in rows)
