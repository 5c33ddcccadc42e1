"""Every two evaluations of a split against each other, overall and task by task."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hearth.core import seeds
from hearth.core.sections import ReportSettings
from hearth.reporting import scoring
from hearth.reporting.intervals import Difference, paired_difference
from hearth.reporting.merged import Evaluation
from hearth.reporting.significance import (
    Noise,
    compact_letters,
    holm,
    instances_to_settle,
    noise,
)

_TASK_SAMPLES = 2000  # bootstrap samples of a single task: there are many, of few instances each


@dataclass(frozen=True)
class Comparison:
    """`first` against `second` on the same instances, overall (`task` None) or on one task.

    Attributes:
        difference: q of `first` less q of `second`.
        p_holm: the p-value corrected by Holm: overall across the pairs of the split, on a task
            across the tasks of the pair.
        more_instances: further paired instances that would settle it after the correction; 0: it is
            settled; None: cannot be said (`instances_to_settle`).
    """

    first: str
    second: str
    split: str
    task: str | None
    difference: Difference
    p_holm: float
    more_instances: int | None


@dataclass(frozen=True)
class NoiseFloor:
    """What repeated runs of one policy say: the evaluations, their split, and the noise."""

    evaluations: tuple[str, ...]
    split: str
    noise: Noise


@dataclass(frozen=True)
class Comparisons:
    """All comparisons, the letters of each evaluation (empty without a rival), the noise floors."""

    pairs: tuple[Comparison, ...] = ()
    tasks: tuple[Comparison, ...] = ()
    letters: Mapping[str, str] | None = None
    floors: tuple[NoiseFloor, ...] = ()

    def letters_of(self, evaluation: str) -> str:
        return (self.letters or {}).get(evaluation, "")

    def on_tasks(self, pair: Comparison) -> list[Comparison]:
        """The tasks of a pair."""
        names = pair.first, pair.second
        return [task for task in self.tasks if (task.first, task.second) == names]


class Pairing:
    """Paired differences; each one's randomness derives from the two names and the task.

    The leaderboard's differences against its baseline and the comparisons are the same numbers.
    """

    def __init__(self, report: ReportSettings, seed: int) -> None:
        self.report, self.seed = report, seed
        self._found: dict[tuple[str, str, str | None], Difference] = {}
        self._strata: dict[tuple[str, str], dict[str, np.ndarray]] = {}

    @property
    def level(self) -> float:
        """The level of significance that belongs to the intervals' confidence."""
        return 1.0 - self.report.confidence

    def strata(self, first: Evaluation, second: Evaluation) -> dict[str, np.ndarray]:
        """Per task the differences first - second of the instances that both were due to play."""
        names = first.name, second.name
        if first.name > second.name:
            return {task: -values for task, values in self.strata(second, first).items()}
        if names not in self._strata:
            self._strata[names] = scoring.paired_differences(first, second)
        return self._strata[names]

    def difference(
        self, first: Evaluation, second: Evaluation, task: str | None = None
    ) -> Difference | None:
        """The difference overall or on a task; None where no episode is shared."""
        if first.name > second.name:
            found = self.difference(second, first, task)
            return _negative(found) if found else None
        strata = self.strata(first, second)
        if not strata or (task is not None and task not in strata):
            return None
        key = first.name, second.name, task
        if key not in self._found:
            names = [zlib.crc32(name.encode()) for name in key if name is not None]
            samples = self.report.bootstrap_samples
            self._found[key] = paired_difference(
                list(strata.values()) if task is None else [strata[task]],
                samples if task is None else min(samples, _TASK_SAMPLES),
                self.report.confidence,
                seeds.generator(self.seed, "comparison", *names),
            )
        return self._found[key]


def _negative(value: Difference) -> Difference:
    return Difference(
        estimate=0.0 - value.estimate,
        low=None if value.high is None else 0.0 - value.high,
        high=None if value.low is None else 0.0 - value.low,
        p_value=value.p_value,
        tasks=value.tasks,
        instances=value.instances,
    )


def compare(pairing: Pairing, ranked: Sequence[Evaluation]) -> Comparisons:
    """Compare every two evaluations of the same split.

    Args:
        ranked: the evaluations, within each split the best first.
    """
    pairs: list[Comparison] = []
    tasks: list[Comparison] = []
    letters: dict[str, str] = {}
    for split in dict.fromkeys(evaluation.split for evaluation in ranked):
        members = [evaluation for evaluation in ranked if evaluation.split == split]
        found = _compare_pairs(pairing, members)
        pairs += found
        if len(members) > 1:
            apart = [(p.first, p.second) for p in found if p.p_holm <= pairing.level]
            letters |= compact_letters([member.name for member in members], apart)
        for first, second in itertools.combinations(members, 2):
            tasks += _compare_tasks(pairing, first, second)
    floors = _noise_floors(ranked, pairing.report.confidence)
    return Comparisons(tuple(pairs), tuple(tasks), letters, floors)


def _compare_pairs(pairing: Pairing, members: Sequence[Evaluation]) -> list[Comparison]:
    found = [
        (first, second, difference)
        for first, second in itertools.combinations(members, 2)
        if (difference := pairing.difference(first, second)) is not None
    ]
    adjusted = holm([difference.p_value for _, _, difference in found])
    return [
        Comparison(
            first.name, second.name, first.split, None, difference, p_holm,
            instances_to_settle(
                list(pairing.strata(first, second).values()), p_holm, pairing.level, len(found)
            ),
        )
        for (first, second, difference), p_holm in zip(found, adjusted, strict=True)
    ]  # fmt: skip


def _compare_tasks(pairing: Pairing, first: Evaluation, second: Evaluation) -> list[Comparison]:
    strata = pairing.strata(first, second)
    found = [
        (task, difference)
        for task in strata
        if (difference := pairing.difference(first, second, task)) is not None
    ]
    adjusted = holm([difference.p_value for _, difference in found])
    return [
        Comparison(
            first.name, second.name, first.split, task, difference, p_holm,
            instances_to_settle([strata[task]], p_holm, pairing.level, len(found)),
        )
        for (task, difference), p_holm in zip(found, adjusted, strict=True)
    ]  # fmt: skip


def _noise_floors(evaluations: Sequence[Evaluation], confidence: float) -> tuple[NoiseFloor, ...]:
    """The floor of every policy that was run more than once with the same settings."""
    groups: dict[tuple, list[Evaluation]] = {}
    for evaluation in evaluations:
        hashes = [(task, r.policy_hash, r.config_hash) for task, r in evaluation.results.items()]
        if hashes:
            groups.setdefault((evaluation.split, *sorted(hashes)), []).append(evaluation)
    floors = []
    for group in groups.values():
        scores = {task: _repeated_scores(group, task) for task in group[0].results}
        found = noise(scores, confidence)
        if found is not None:
            names = tuple(sorted(evaluation.name for evaluation in group))
            floors.append(NoiseFloor(names, group[0].split, found))
    return tuple(floors)


def _repeated_scores(group: Sequence[Evaluation], task: str) -> np.ndarray:
    """float64[instances, runs]: rollouts of all evaluations, instances that all of them finished.

    A crash says nothing about how a policy varies.
    """
    runs = [
        {
            episode.instance_id: episode.q
            for episode in evaluation.results[task].episodes
            if episode.rollout_id == rollout and episode.present
        }
        for evaluation in group
        for rollout in sorted({e.rollout_id for e in evaluation.results[task].episodes})
    ]
    shared = sorted(set.intersection(*(set(run) for run in runs)))
    return np.array([[run[instance] for run in runs] for instance in shared])
