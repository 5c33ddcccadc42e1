"""Stage labels of demonstrations: by time, or by the skills that people annotated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hearth.benchmark.benchmark import stage_label
from hearth.core.errors import DataError
from hearth.core.files import read_json


def time_stages(length: int, stages: int) -> np.ndarray:
    """int32[length]: equal parts of the demonstration (report, 6.1)."""
    return stage_label(np.arange(length), length, stages)


def annotation_stages(path: Path, length: int, stages: int) -> np.ndarray:
    """int32[length] from the skill segments of the challenge's annotation files.

    The episode's skills in order of their start are divided into `stages` runs of equal count. A
    frame belongs to the last skill that has begun; frames before the first belong to it.

    Raises:
        DataError: the file is missing, or has no skill that lasts within the episode.
    """
    starts = [start for start, stop in _segments(path) if stop > start and start < length]
    if not starts:
        raise DataError(f"{path} has no skill within the episode's {length} frames")
    begun = np.searchsorted(np.sort(starts), np.arange(length), side="right")
    return stage_label(np.maximum(begun - 1, 0), len(starts), stages)


def _segments(path: Path) -> list[tuple[int, int]]:
    """The [start, stop) of each skill, in frames; a skill in several parts counts once."""
    found = read_json(path)
    rows = found.get("skill_annotation") if isinstance(found, dict) else None
    if not isinstance(rows, list):
        raise DataError(f"{path} has no list 'skill_annotation'")
    return [_duration(path, row) for row in rows]


def _duration(path: Path, row: Any) -> tuple[int, int]:
    value = row.get("frame_duration") if isinstance(row, dict) else None
    nested = isinstance(value, list) and len(value) > 0 and isinstance(value[0], list)
    parts: list[Any] = value if nested and isinstance(value, list) else [value]
    for part in parts:
        numbers = part if isinstance(part, list) and len(part) == 2 else [None]
        if not all(type(number) is int for number in numbers):
            raise DataError(f"{path}: frame_duration is {value!r}; needed are whole frames")
    return min(part[0] for part in parts), max(part[1] for part in parts)
