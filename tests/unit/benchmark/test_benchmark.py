"""The shipped benchmark files against independent facts."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from hearth.benchmark import load_benchmark
from hearth.benchmark.benchmark import stage_label
from hearth.core.errors import SettingsError


@pytest.mark.parametrize(
    ("name", "tasks", "width"),
    [("behavior-2025", 50, 256), ("behavior-2026", 100, 61), ("household", 6, 256)],
)
def test_one_loader_serves_all(name: str, tasks: int, width: int) -> None:
    benchmark = load_benchmark(name)
    assert len(benchmark.tasks) == tasks
    assert benchmark.robot.proprioception_width == width
    assert benchmark.robot.action_width == 23
    assert benchmark.robot.state_from_proprioception(np.zeros(width)).shape == (23,)
    assert list(benchmark.cameras) == ["head", "left_wrist", "right_wrist"]
    assert (benchmark.robot.lower < benchmark.robot.upper).all()


def test_stage_counts_of_2025_follow_the_lengths() -> None:
    benchmark = load_benchmark("behavior-2025")
    for task in benchmark.tasks:
        assert task.stages == min(15, max(5, math.ceil(task.human_length_frames / 900)))
    assert benchmark.stage_counts().sum() == 596
    assert benchmark.task("turning_on_radio").human_length_frames == 72 * 30
    assert benchmark.time_limit("turning_on_radio") == 2 * 72 * 30


def test_gripper_state_spans_minus_one_to_one() -> None:
    robot = load_benchmark("behavior-2025").robot
    proprioception = np.zeros((2, 256))
    proprioception[1, 193:195] = 0.05
    state = robot.state_from_proprioception(proprioception)
    assert state[0, 14] == pytest.approx(-1.0)
    assert state[1, 14] == pytest.approx(1.0)


def test_masks_of_delta_and_per_timestep() -> None:
    robot = load_benchmark("household").robot
    absolute = np.flatnonzero(~robot.delta_mask)
    assert absolute.tolist() == [0, 1, 2, 6, 14, 22]
    assert np.flatnonzero(~robot.per_timestep_mask).tolist() == [0, 1, 2, 14, 22]
    assert robot.gripper_dimensions == (14, 22)


def test_wrong_width_names_both() -> None:
    with pytest.raises(SettingsError, match=r"61 numbers.*256"):
        load_benchmark("household").robot.state_from_proprioception(np.zeros(61))


def test_errors_list_the_choices(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="did you mean 'household'"):
        load_benchmark("houshold")
    benchmark = load_benchmark("household")
    with pytest.raises(SettingsError, match="did you mean 'bringing_water'"):
        benchmark.task("bringing_watr")
    with pytest.raises(SettingsError, match="hidden, public, train, validation"):
        benchmark.instances("tset")
    (tmp_path / "broken.yaml").write_text("name: x\nrobot: 3\n")
    with pytest.raises(SettingsError, match="not a valid benchmark"):
        load_benchmark(tmp_path / "broken.yaml")


def test_household_splits() -> None:
    benchmark = load_benchmark("household")
    assert len(benchmark.instances("train")) == 200
    assert len(benchmark.instances("public")) == len(benchmark.instances("hidden")) == 10


@pytest.mark.parametrize(("frame", "stage"), [(0, 0), (9, 0), (10, 1), (49, 4)])
def test_time_based_stages(frame: int, stage: int) -> None:
    assert stage_label(frame, 50, 5) == stage
