"""Stage labels: in range, never back, whatever the annotations hold."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.core.errors import DataError
from hearth.data.stages import annotation_stages, time_stages


def write(path: Path, durations: list[Any]) -> Path:
    rows = [{"frame_duration": duration} for duration in durations]
    path.write_text(json.dumps({"skill_annotation": rows}))
    return path


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(-5, 40)), max_size=30),
    st.integers(1, 50),
    st.integers(1, 15),
)
def test_labels_are_in_range_and_in_order(
    segments: list[tuple[int, int]], length: int, stages: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "a.json", [[s, s + lasts] for s, lasts in segments])
        if not any(lasts > 0 and start < length for start, lasts in segments):
            with pytest.raises(DataError, match="no skill within"):
                annotation_stages(path, length, stages)
            return
        found = annotation_stages(path, length, stages)
    assert found.shape == (length,) and found.dtype == np.int32
    assert found.min() >= 0 and found.max() < stages and (np.diff(found) >= 0).all()


def test_skills_are_shared_out_evenly(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", [[0, 10], [12, 20], [20, 26], [[30, 34], [36, 40]]])
    found = annotation_stages(path, 44, 2)
    assert found.tolist() == [0] * 20 + [1] * 24, (
        "two skills each; pauses belong to the skill before"
    )
    assert annotation_stages(path, 44, 8)[[0, 12, 20, 43]].tolist() == [0, 2, 4, 6]


def test_time_stages() -> None:
    assert time_stages(7, 3).tolist() == [0, 0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([{"frame_duration": [0, 3.5]}], r"frame_duration is \[0, 3.5\]; needed are whole frames"),
        ([{"frame_duration": [[0, 3], [5]]}], "needed are whole frames"),
        ([{"frame_duration": None}], "frame_duration is None"),
        ([{}], "frame_duration is None"),
        ([], "no skill within the episode's 10 frames"),
        ({}, "has no list 'skill_annotation'"),
    ],
)
def test_faults_are_named(tmp_path: Path, content: Any, message: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"skill_annotation": content}))
    with pytest.raises(DataError, match=message):
        annotation_stages(path, 10, 5)
