"""Hashes of facts change with the facts they cover and with no others."""

from __future__ import annotations

import pytest

from hearth.benchmark import Benchmark, load_benchmark
from hearth.benchmark.facts import data_facts, episode_facts

TASK, OTHER = "turning_on_radio", "picking_up_trash"


@pytest.fixture
def household() -> Benchmark:
    return load_benchmark("household")


def _edited(benchmark: Benchmark, name: str, **changes: int) -> Benchmark:
    tasks = tuple(
        task.model_copy(update=changes) if task.name == name else task for task in benchmark.tasks
    )
    return benchmark.model_copy(update={"tasks": tasks})


def test_a_length_concerns_only_the_episodes_of_its_task(household: Benchmark) -> None:
    edited = _edited(household, TASK, human_length_frames=999)
    assert data_facts(edited, [TASK]) == data_facts(household, [TASK])
    assert episode_facts(edited, TASK, "public") != episode_facts(household, TASK, "public")
    assert episode_facts(edited, OTHER, "public") == episode_facts(household, OTHER, "public")


def test_stages_concern_data_and_episodes(household: Benchmark) -> None:
    edited = _edited(household, TASK, stages=9)
    assert data_facts(edited, [TASK]) != data_facts(household, [TASK])
    assert data_facts(edited, [OTHER]) == data_facts(household, [OTHER])
    assert episode_facts(edited, TASK, "public") != episode_facts(household, TASK, "public")


def test_instances_concern_their_split(household: Benchmark) -> None:
    edited = household.model_copy(update={"splits": {**household.splits, "hidden": (7001, 7002)}})
    assert episode_facts(edited, TASK, "public") == episode_facts(household, TASK, "public")
    assert episode_facts(edited, TASK, "hidden") != episode_facts(household, TASK, "hidden")
    assert data_facts(edited, [TASK], "train") == data_facts(household, [TASK], "train")
