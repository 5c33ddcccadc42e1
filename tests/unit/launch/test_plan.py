"""How tasks are cut into shards, and which go first."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.benchmark import load_benchmark
from hearth.core.files import write_json
from hearth.core.results import Results
from hearth.core.settings import Settings, validate_settings
from hearth.evaluation import identity
from hearth.launch.plan import ToPlay, shard_counts
from hearth.launch.units import EvaluationUnit
from hearth.launch.work import EvaluationShard

TASKS = ["turning_on_radio", "bringing_water"]  # 30 s and longer


def play(tasks: dict[str, ToPlay], counts: dict[str, int], slots: int, start: float) -> float:
    """When the last shard ends, the longest first."""
    shards = [minutes for name in tasks for minutes in tasks[name].shards(counts[name])]
    ends = [0.0] * slots
    for minutes in sorted(shards, reverse=True):
        ends[ends.index(min(ends))] += start + minutes
    return max(ends)


to_play = st.builds(ToPlay, st.integers(1, 12), st.floats(0.5, 60.0))
some_tasks = st.dictionaries(st.sampled_from("abcdefgh"), to_play, min_size=1)


@given(some_tasks, st.integers(1, 12), st.floats(0.0, 20.0), st.integers(1, 8))
def test_every_plan_can_be_played(
    tasks: dict[str, ToPlay], slots: int, start: float, most: int
) -> None:
    counts = shard_counts(tasks, slots, start, most)
    assert set(counts) == set(tasks)
    for name, task in tasks.items():
        assert 1 <= counts[name] <= min(most, task.episodes)
        shards = task.shards(counts[name])
        assert len(shards) == counts[name] and min(shards) > 0
        assert abs(sum(shards) - task.episodes * task.minutes) < 1e-6
        assert shards == sorted(shards, reverse=True)


def test_the_fifty_tasks_end_near_the_lower_bound() -> None:
    benchmark = load_benchmark("behavior-2025")
    minutes = {task: benchmark.time_limit(task) / 30 / 60 for task in benchmark.task_names}
    tasks = {task: ToPlay(10, length) for task, length in minutes.items()}
    bound = (10 * sum(minutes.values()) + 50 * 5.0) / 20
    counts = shard_counts(tasks, slots=20, start_minutes=5.0, most=8)
    assert play(tasks, counts, 20, 5.0) < 1.05 * bound
    assert play(tasks, dict.fromkeys(tasks, 1), 20, 5.0) > 1.09 * bound
    assert play(tasks, dict.fromkeys(tasks, 8), 20, 5.0) > 1.2 * bound


def test_one_place_needs_one_shard_and_one_task_takes_every_place() -> None:
    tasks = {"long": ToPlay(10, 20.0), "short": ToPlay(10, 2.0)}
    assert shard_counts(tasks, slots=1, start_minutes=5.0, most=8) == {"long": 1, "short": 1}
    assert shard_counts({"long": ToPlay(10, 20.0)}, 20, 5.0, most=8) == {"long": 5}
    assert shard_counts({"long": ToPlay(8, 20.0)}, 20, 5.0, most=8) == {"long": 8}


def experiment(folder: Path, **launcher: object) -> Settings:
    values = {
        "experiment": "x", "results": str(folder), "benchmark": "household", "demonstrations": {},
        "tasks": TASKS, "evaluations": {"expert": {"policy": "expert", "workers": 1}},
        "launcher": {"executor": "slurm", "shards": 8, **launcher},
    }  # fmt: skip
    return validate_settings(values, source="test")


def finish(settings: Settings, task: str) -> None:
    benchmark = load_benchmark("household")
    result = {
        "q_score": {"final": 1.0}, "status": "success", "success": True, "steps": 9,
        "time": {"normalized_time": 1.0}, "normalized_agent_distance": {},
        "provenance": identity.hashes(settings, benchmark, "expert", task),
    }  # fmt: skip
    for key in identity.due_episodes(settings, benchmark, "expert"):
        write_json(Results.of(settings).episode("expert", task, *key), result)


def test_the_longest_shards_go_first_and_the_last_task_gets_the_whole_cluster(
    tmp_path: Path,
) -> None:
    settings = experiment(tmp_path, slots=2)
    short, long = (EvaluationUnit(settings, "expert", task) for task in TASKS)
    works, nice = long.works(long.remaining(), 8)
    assert nice == 0
    pieces = [key for work in works for key in work.episodes]
    assert sorted(pieces) == sorted(long.remaining())
    shorts, waits = short.works(short.remaining(), 8)
    assert 0 < waits <= 100
    assert len(shorts) == 1
    finish(settings, TASKS[1])
    shorts, waits = short.works(short.remaining(), 8)
    assert len(shorts) == 2 and waits == 0


def test_without_a_number_of_places_every_task_is_cut_alike(tmp_path: Path) -> None:
    settings = experiment(tmp_path)
    for task, waits in zip(TASKS, (True, False), strict=True):
        unit = EvaluationUnit(settings, "expert", task)
        works, nice = unit.works(unit.remaining(), 8)
        assert len(works) == 8 and (nice > 0) == waits
        assert len(unit.works(unit.remaining(), 3)[0]) == 3


def test_a_shard_says_how_much_of_the_gpu_its_policy_may_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = {}
    monkeypatch.delenv("XLA_PYTHON_CLIENT_PREALLOCATE", raising=False)
    monkeypatch.setenv("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.9")
    monkeypatch.setattr(EvaluationShard, "_play", lambda shard: seen.update(os.environ))
    monkeypatch.setattr("signal.signal", lambda *_: None)
    for percent, fraction in ((None, "0.9"), (40, "0.4")):
        unit = EvaluationUnit(
            experiment(tmp_path, policy_memory_percent=percent), "expert", TASKS[0]
        )
        works, _ = unit.works(unit.remaining(), 1)
        assert works[0]() == {}
        assert seen["XLA_PYTHON_CLIENT_MEM_FRACTION"] == fraction
        assert seen["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"
