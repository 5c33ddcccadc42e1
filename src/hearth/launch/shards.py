"""Episodes into shards of equal length."""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Mapping
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)


def split(durations: Mapping[Key, float], shards: int) -> list[list[Key]]:
    """Split into at most `shards` lists of nearly equal sums, none empty, the longest first.

    The longest piece goes to the shard that has least so far (Graham's rule: at most 4/3 of the
    best possible).

    Args:
        durations: expected duration of each piece, in any unit.
        shards: how many lists at most.

    >>> split({"a": 3.0, "b": 2.0, "c": 2.0, "d": 1.0}, 2)
    [['a', 'd'], ['b', 'c']]
    """
    count = min(shards, len(durations))
    heap = [(0.0, number) for number in range(count)]
    lists: list[list[Key]] = [[] for _ in range(count)]
    for key in sorted(durations, key=lambda key: -durations[key]):
        total, number = heapq.heappop(heap)
        lists[number].append(key)
        heapq.heappush(heap, (total + durations[key], number))
    return sorted(lists, key=lambda keys: -sum(durations[key] for key in keys))
