"""The official scores of the BEHAVIOR challenge, as pure functions of merged results.

Per task: the sum over the episodes present divided by the number due, so that crashed and missing
episodes count as zero. Overall: the mean over all tasks due, an absent task counting as zero.

The scorers of 2025 and 2026 differ in the time score alone, which is 1 at human pace and 0 at the
time limit: 2 and 1.5 mean human lengths.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hearth.reporting.merged import DISTANCES, Episode, Evaluation, TaskResult

Score = Callable[[Episode], float]


@dataclass(frozen=True)
class Scores:
    """Official scores of a task or of a whole evaluation.

    Attributes:
        q: mean q-score in [0, 1].
        success_rate: share of episodes with q exactly 1.
        time: mean time score (see `time_score`).
        distance: mean normalised path of base, left and right hand (hand displacement).
    """

    q: float
    success_rate: float
    time: float
    distance: dict[str, float]


def q_score(episode: Episode) -> float:
    """The q-score; zero when crashed or missing."""
    return episode.q if episode.present else 0.0


def is_success(episode: Episode) -> float:
    """1 when the q-score is exactly 1, else 0."""
    return float(q_score(episode) == 1.0)


def time_score(limit: float) -> Score:
    """``(limit - 1 / normalized_time) / (limit - 1)``: 1 at human pace, 0 at the time limit.

    Zero when crashed, missing, or without a positive time.

    Args:
        limit: the time limit in mean human lengths: 2 in 2025, 1.5 in 2026.
    """

    def score(episode: Episode) -> float:
        time = episode.normalized_time
        if not episode.present or time is None or time <= 0.0:
            return 0.0
        return limit / (limit - 1.0) - 1.0 / ((limit - 1.0) * time)

    return score


def distance_score(part: str) -> Score:
    """The normalised path of one part ("base", "left", "right"); zero where it is unknown."""
    return lambda episode: episode.normalized_distance.get(part, 0.0) if episode.present else 0.0


def unbounded_scores(result: TaskResult) -> dict[str, Score]:
    """The scores of an episode that can be of any size: "time" and each part's distance."""
    parts = {part: distance_score(part) for part in DISTANCES}
    return {"time": time_score(result.time_limit_factor), **parts}


def mean_over_due(episodes: Iterable[Episode], score: Score) -> float:
    """Sum of `score` over the episodes divided by their number (all that were due)."""
    values = [score(episode) for episode in episodes]
    return sum(values) / len(values) if values else 0.0


def task_scores(result: TaskResult) -> Scores:
    """Official scores of one task."""

    def mean(score: Score) -> float:
        return mean_over_due(result.episodes, score)

    return Scores(
        q=mean(q_score),
        success_rate=mean(is_success),
        time=mean(time_score(result.time_limit_factor)),
        distance={part: mean(distance_score(part)) for part in DISTANCES},
    )


def overall_scores(evaluation: Evaluation) -> Scores:
    """Official scores of an evaluation: the mean over all tasks due."""
    each = [task_scores(result) for result in evaluation.results.values()]
    due = max(1, len(evaluation.tasks))
    return Scores(
        q=sum(scores.q for scores in each) / due,
        success_rate=sum(scores.success_rate for scores in each) / due,
        time=sum(scores.time for scores in each) / due,
        distance={part: sum(scores.distance[part] for scores in each) / due for part in DISTANCES},
    )


def mean_steps(episodes: Iterable[Episode]) -> float | None:
    """Mean simulator steps of the episodes present; None when there is none."""
    steps = [e.steps for e in episodes if e.present and e.steps is not None]
    return sum(steps) / len(steps) if steps else None


def by_instance(result: TaskResult, score: Score) -> np.ndarray:
    """float64[instances]: the score of each instance, the mean over its rollouts.

    The instance is what was sampled from the benchmark; rollouts of one instance are not
    independent of each other, so intervals resample instances.
    """
    groups: dict[int, list[float]] = {}
    for episode in result.episodes:
        groups.setdefault(episode.instance_id, []).append(score(episode))
    return _means(groups)


def strata(evaluation: Evaluation, score: Score) -> list[np.ndarray]:
    """One array of instance scores per task due; an absent task gives an empty array."""
    arrays = [by_instance(result, score) for result in evaluation.results.values()]
    return arrays + [np.zeros(0) for _ in evaluation.absent_tasks]


def paired_differences(
    first: Evaluation, second: Evaluation, score: Score = q_score
) -> dict[str, np.ndarray]:
    """Per task the differences first - second, one per instance that both were due to play.

    Only episodes with the same (task, instance, rollout) and of the same split are paired;
    crashed and missing ones enter with zero. Tasks without a pair are left out.
    """
    if first.split != second.split:
        return {}
    differences = {}
    for task in first.results:
        if task not in second.results:
            continue
        other = {episode.key: score(episode) for episode in second.results[task].episodes}
        groups: dict[int, list[float]] = {}
        for episode in first.results[task].episodes:
            if episode.key in other:
                change = score(episode) - other[episode.key]
                groups.setdefault(episode.instance_id, []).append(change)
        if groups:
            differences[task] = _means(groups)
    return differences


def _means(groups: Mapping[int, Sequence[float]]) -> np.ndarray:
    """The mean of each group, by rising key. (np.mean of a few numbers costs ten times a sum.)"""
    return np.array([sum(values) / len(values) for _, values in sorted(groups.items())])
