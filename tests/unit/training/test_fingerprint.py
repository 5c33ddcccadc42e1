from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from hearth.benchmark import load_benchmark
from hearth.core.errors import TrainingError
from hearth.training.fingerprint import (
    differences,
    fingerprint,
    refuse_change,
    remember,
    started_with,
)

from .conftest import TASK, make_settings, make_statistics

STATISTICS = make_statistics(load_benchmark("household"))


def test_what_counts_as_a_change() -> None:
    root = Path("unused")
    before = fingerprint(make_settings(root), "main", (TASK,), STATISTICS)
    same = make_settings(root, log_every=7, checkpoint_every=9, devices=2)
    assert fingerprint(same, "main", (TASK,), STATISTICS) == before
    other = make_settings(root, seed=3, steps=9)
    data = dataclasses.replace(STATISTICS, source_hash="new")
    lines = differences(before, fingerprint(other, "main", (TASK, "x"), data))
    assert [line.split(":")[0] for line in lines] == [
        "data_hash", "run.steps", "seed", "statistics_hash", "tasks",
    ]  # fmt: skip
    assert "run.steps: 6 -> 9" in lines


def test_new_and_removed_keys_are_differences() -> None:
    assert differences({"a": 1}, {"b": {"c": 2}}) == ["a: 1 -> None", "b: None -> {'c': 2}"]


def test_it_survives_the_file(tmp_path: Path) -> None:
    values = fingerprint(make_settings(tmp_path), "main", (TASK,), STATISTICS)
    assert started_with(tmp_path) is None
    remember(tmp_path, values)
    assert differences(started_with(tmp_path) or {}, values) == []


def test_the_refusal_names_differences_and_choices() -> None:
    with pytest.raises(TrainingError, match=r"(?s)'main'.*steps: 1 -> 2.*new name.*--discard"):
        refuse_change("main", ["steps: 1 -> 2"])
