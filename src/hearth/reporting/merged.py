"""Merged task results as values; `merged_files` reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

STATUSES = ("success", "timeout", "failure", "crashed", "missing")
ABSENT = ("crashed", "missing")  # no official result stands behind these: they score zero
DISTANCES = ("base", "left", "right")


@dataclass(frozen=True)
class Goal:
    """A ground goal literal, and whether it held at the start and at the end of the episode."""

    text: str
    initially: bool
    now: bool


@dataclass(frozen=True)
class Episode:
    """One episode that was due. Scores of crashed and missing episodes are zero.

    Attributes:
        status: one of `STATUSES`.
        q: share of the goal literals newly true, in [0, 1]; 1 is success.
        steps: simulator steps, None where unknown.
        normalized_time: human steps over policy steps, None where unknown.
        normalized_distance: the same ratio for the paths of base, left and right hand, infinite
            for a part that never moved.
        video: path relative to the results root, None where none was to be made.
        record: the same for the result file, where it has a place of its own.
        trace: the same for what the policy predicted (`hearth.core.traces`).
        reason: why a crashed or missing episode has no result.
        goals: every goal literal; empty where the evaluator does not say.
    """

    instance_id: int
    rollout_id: int
    status: str
    q: float
    steps: int | None = None
    normalized_time: float | None = None
    normalized_distance: Mapping[str, float] = field(default_factory=dict)
    video: str | None = None
    record: str | None = None
    trace: str | None = None
    reason: str = ""
    goals: tuple[Goal, ...] = ()

    @property
    def key(self) -> tuple[int, int]:
        return self.instance_id, self.rollout_id

    @property
    def present(self) -> bool:
        return self.status not in ABSENT


@dataclass(frozen=True)
class TaskResult:
    """The merged result of one task: every episode due, in the order of instance and rollout.

    `time_limit_factor` is the benchmark's limit in mean human lengths, which the time score needs.
    """

    task: str
    split: str
    policy: str
    policy_hash: str
    config_hash: str
    episodes: tuple[Episode, ...]
    source_hash: str
    time_limit_factor: float = 2.0

    @property
    def counts(self) -> dict[str, int]:
        """Number of episodes by status, all five statuses present."""
        return {
            status: sum(episode.status == status for episode in self.episodes)
            for status in STATUSES
        }

    @property
    def complete(self) -> bool:
        return all(episode.present for episode in self.episodes)

    @property
    def instances(self) -> int:
        return len({episode.instance_id for episode in self.episodes})


@dataclass(frozen=True)
class Evaluation:
    """A named evaluation. Tasks without a usable merged result are in `absent_tasks`.

    `imported`: it was played elsewhere, so nothing here can play what it lacks.
    """

    name: str
    split: str
    results: Mapping[str, TaskResult]
    absent_tasks: tuple[str, ...]
    faults: tuple[str, ...]
    imported: bool = False

    @property
    def tasks(self) -> tuple[str, ...]:
        """All tasks due, absent ones last."""
        return (*self.results, *self.absent_tasks)

    @property
    def policy(self) -> str:
        return ", ".join(sorted({result.policy for result in self.results.values()}))

    @property
    def counts(self) -> dict[str, int]:
        each = [result.counts for result in self.results.values()]
        return {status: sum(counts[status] for counts in each) for status in STATUSES}

    @property
    def episodes_due(self) -> int:
        return sum(len(result.episodes) for result in self.results.values())

    @property
    def complete(self) -> bool:
        return not self.absent_tasks and all(r.complete for r in self.results.values())
