"""How many shards each task of an evaluation is cut into, so that all are done soonest."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass

_ENOUGH = 1.001  # a plan this close to the soonest end is as good; fewer shards load fewer scenes


@dataclass(frozen=True)
class ToPlay:
    """What is to be played of one task.

    Attributes:
        episodes: how many, at least 1.
        minutes: how long one of them is expected to take.
    """

    episodes: int
    minutes: float

    def shards(self, count: int) -> list[float]:
        """Minutes of play of each of `count` shards, the longest first."""
        whole, rest = divmod(self.episodes, count)
        return [(whole + (number < rest)) * self.minutes for number in range(count)]


def shard_counts(
    tasks: Mapping[str, ToPlay], slots: int, start_minutes: float, most: int
) -> dict[str, int]:
    """The number of shards of each task.

    Every shard costs a start, so a task is cut no finer than the end of the whole asks for: all
    tasks begin in one piece, the longest first (Graham's list scheduling, as Slurm does it by
    priority), and the task whose shard ends last is cut finer, again and again. Of the plans on
    that way the one with fewest shards is taken that ends soonest.

    Args:
        tasks: what is to be played of each.
        slots: shards that run at once.
        start_minutes: before a shard's first episode.
        most: shards of one task.
    """
    if not tasks:
        return {}
    counts = dict.fromkeys(tasks, 1)
    plans: list[tuple[float, dict[str, int]]] = []
    while True:
        end, last = _ends_last(tasks, counts, slots, start_minutes)
        plans.append((end, dict(counts)))
        if counts[last] >= min(most, tasks[last].episodes):
            break
        counts[last] += 1
    soonest = min(end for end, _ in plans)
    return next(counts for end, counts in plans if end <= _ENOUGH * soonest)


def longest_shard(tasks: Mapping[str, ToPlay], counts: Mapping[str, int]) -> float:
    """Minutes of play of the longest shard of all tasks."""
    return max(task.shards(counts[name])[0] for name, task in tasks.items())


def _ends_last(
    tasks: Mapping[str, ToPlay], counts: Mapping[str, int], slots: int, start_minutes: float
) -> tuple[float, str]:
    """When the last shard ends [minutes], and whose it is.

    The shards of a task are one job array of one priority, that of its longest.
    """
    shards = {name: task.shards(counts[name]) for name, task in tasks.items()}
    free = [0.0] * slots
    end, last = 0.0, ""
    for name in sorted(shards, key=lambda name: -shards[name][0]):
        for minutes in shards[name]:
            done = free[0] + start_minutes + minutes
            heapq.heapreplace(free, done)
            if done > end:
                end, last = done, name
    return end, last
