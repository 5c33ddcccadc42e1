from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from hearth.benchmark import load_benchmark
from hearth.core.changes import differences
from hearth.core.errors import TrainingError
from hearth.training.fingerprint import (
    fingerprint,
    refuse_change,
    remember,
    started_with,
)

from .conftest import TASK, make_settings, make_statistics

FACTS = load_benchmark("household")
STATISTICS = make_statistics(FACTS)


def test_what_counts_as_a_change() -> None:
    root = Path("unused")
    before = fingerprint(make_settings(root), "main", FACTS, (TASK,), STATISTICS)
    same = make_settings(root, log_every=7, checkpoint_every=9, devices=2)
    assert fingerprint(same, "main", FACTS, (TASK,), STATISTICS) == before
    other = make_settings(root, seed=3, steps=9)
    data = dataclasses.replace(STATISTICS, source_hash="new")
    lines = differences(before, fingerprint(other, "main", FACTS, (TASK, "x"), data))
    assert [line.split(":")[0] for line in lines] == [
        "data_hash", "run.steps", "seed", "statistics_hash", "tasks",
    ]  # fmt: skip
    assert "run.steps: 6 -> 9" in lines


def test_stages_count_and_lengths_do_not() -> None:
    settings = make_settings(Path("unused"))
    before = fingerprint(settings, "main", FACTS, (TASK,), STATISTICS)
    first, *others = FACTS.tasks
    longer = first.model_copy(update={"human_length_frames": 9})
    facts = FACTS.model_copy(update={"tasks": (longer, *others)})
    assert fingerprint(settings, "main", facts, (TASK,), STATISTICS) == before
    finer = first.model_copy(update={"stages": first.stages + 1})
    facts = FACTS.model_copy(update={"tasks": (finer, *others)})
    lines = differences(before, fingerprint(settings, "main", facts, (TASK,), STATISTICS))
    assert [line.split(":")[0] for line in lines] == ["benchmark_hash"]


def test_new_and_removed_keys_are_differences() -> None:
    assert differences({"a": 1}, {"b": {"c": 2}}) == ["a: 1 -> None", "b: None -> {'c': 2}"]


def test_it_survives_the_file(tmp_path: Path) -> None:
    values = fingerprint(make_settings(tmp_path), "main", FACTS, (TASK,), STATISTICS)
    assert started_with(tmp_path) is None
    remember(tmp_path, values)
    assert differences(started_with(tmp_path) or {}, values) == []


def test_the_refusal_names_differences_and_choices() -> None:
    with pytest.raises(TrainingError, match=r"(?s)'main'.*steps: 1 -> 2.*new name.*--discard"):
        refuse_change("main", ["steps: 1 -> 2"])
