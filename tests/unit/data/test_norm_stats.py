"""openpi's norm_stats.json in and out, against the formula of openpi's normalisation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hearth.benchmark import load_benchmark
from hearth.core.errors import DataError, StatisticsError
from hearth.core.statistics import Statistics
from hearth.data.norm_stats import (
    norm_stats_of,
    padded_cholesky,
    read_norm_stats,
    statistics_of_norm_stats,
    write_norm_stats,
)

FACTS = load_benchmark("behavior-2025")
WIDTH, HORIZON, PADDED = 23, 4, 32
TASKS = FACTS.task_names[:2]


def correlation(seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    flat = random.normal(size=(HORIZON * WIDTH, 60))
    covariance = flat @ flat.T + 5 * np.eye(len(flat))
    scale = np.sqrt(np.diag(covariance))
    return covariance / np.outer(scale, scale)


def file_content(seed: int = 0, width: int = WIDTH) -> dict[str, Any]:
    """As the public code writes it; `width` beyond the robot's: padded with zeros."""
    random = np.random.default_rng(seed)

    def padded(values: np.ndarray) -> list:
        missing = [(0, 0)] * (values.ndim - 1) + [(0, width - WIDTH)]
        return np.pad(values, missing).tolist()

    def part() -> dict[str, Any]:
        return {
            "mean": padded(random.normal(size=WIDTH)),
            "std": padded(random.uniform(0.1, 1.0, WIDTH)),
            "q01": padded(-np.ones(WIDTH)),
            "q99": padded(np.ones(WIDTH)),
        }

    actions = {
        **part(),
        "per_timestamp_mean": padded(random.normal(size=(HORIZON, WIDTH))),
        "per_timestamp_std": padded(random.uniform(0.1, 1.0, (HORIZON, WIDTH))),
        "action_correlation_cholesky": padded_cholesky(correlation(seed), HORIZON, PADDED).tolist(),
    }
    return {"state": part(), "actions": actions}


def read(values: dict[str, Any]) -> Statistics:
    return statistics_of_norm_stats(values, FACTS, TASKS, source_hash="x", source="the file")


@pytest.mark.parametrize("width", [WIDTH, PADDED])
def test_normalisation_is_that_of_openpi(width: int) -> None:
    values = file_content(1, width)
    statistics = read(values)
    random = np.random.default_rng(2)
    chunk, state = random.normal(size=(HORIZON, WIDTH)), random.normal(size=WIDTH)
    actions = values["actions"]
    mean = np.asarray(actions["per_timestamp_mean"])[:, :WIDTH]
    std = np.asarray(actions["per_timestamp_std"])[:, :WIDTH]
    theirs = (chunk - mean) / (std + 1e-6)
    np.testing.assert_allclose(statistics.normalise_actions(chunk), theirs, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(statistics.denormalise_actions(theirs), chunk, rtol=1e-6, atol=1e-6)
    theirs = (state - np.asarray(values["state"]["mean"])[:WIDTH]) / (
        np.asarray(values["state"]["std"])[:WIDTH] + 1e-6
    )
    np.testing.assert_allclose(statistics.normalise_state(state), theirs, rtol=1e-6, atol=1e-6)


def test_there_and_back_is_the_same(tmp_path: Path) -> None:
    values = file_content(3)
    write_norm_stats(tmp_path / "norm_stats.json", read(values), PADDED)
    back = json.loads((tmp_path / "norm_stats.json").read_text())["norm_stats"]
    for part, quantities in values.items():
        for name, value in quantities.items():
            np.testing.assert_allclose(back[part][name], value, atol=1e-12, err_msg=name)
    again = read_norm_stats(tmp_path / "norm_stats.json", FACTS, TASKS)
    np.testing.assert_allclose(again.correlation, correlation(3), atol=1e-9)
    assert again.tasks == TASKS and again.horizon == HORIZON


def test_global_statistics_of_some_dimensions_go_out_at_every_timestep() -> None:
    own = read(file_content(4))
    mask = FACTS.robot.per_timestep_mask
    own = Statistics(**{**vars_of(own), "per_timestep": mask})
    actions = norm_stats_of(own, PADDED)["actions"]
    chunk = np.random.default_rng(5).normal(size=(HORIZON, WIDTH))
    theirs = (chunk - np.asarray(actions["per_timestamp_mean"])) / (
        np.asarray(actions["per_timestamp_std"]) + 1e-6
    )
    np.testing.assert_allclose(own.normalise_actions(chunk), theirs, rtol=1e-6, atol=1e-6)
    velocity = np.asarray(actions["per_timestamp_mean"])[:, 0]
    assert (velocity == own.action_mean[0]).all()


def vars_of(statistics: Statistics) -> dict[str, Any]:
    return {name: getattr(statistics, name) for name in statistics.__dataclass_fields__}


def test_no_closed_hand_counts_as_a_failed_grasp() -> None:
    assert read(file_content()).gripper_closed.all()


@pytest.mark.parametrize(
    ("part", "key", "value", "message"),
    [
        ("actions", "action_correlation_cholesky", None, "no 'actions.action_correlation_chol"),
        ("actions", "per_timestamp_std", [[1.0] * 5] * HORIZON, r"per_timestamp_std has shape"),
        ("actions", "per_timestamp_std", [[1.0] * WIDTH], "4 timesteps, actions.per_times.* 1"),
        ("state", "mean", [0.0] * 7, r"state.mean has shape \(7,\); the robot has 23"),
        ("state", "std", [float("nan")] * WIDTH, "state.std holds values that are not finite"),
        ("actions", "action_correlation_cholesky", np.eye(91).tolist(), r"shape \(91, 91\)"),
        ("actions", "q01", "none", "actions.q01 is not an array"),
    ],
)
def test_what_is_wrong_is_named(part: str, key: str, value: Any, message: str) -> None:
    values = file_content()
    values[part][key] = value
    with pytest.raises(StatisticsError, match=message):
        read(values)


def test_a_factor_in_another_order_is_refused() -> None:
    values = file_content()
    factor = np.linalg.cholesky(np.eye(HORIZON * PADDED) + 0.5)
    values["actions"]["action_correlation_cholesky"] = factor.tolist()
    with pytest.raises(StatisticsError, match="correlates padding dimensions"):
        read(values)


def test_files_that_are_not_norm_stats(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        read_norm_stats(tmp_path / "norm_stats.json", FACTS, TASKS)
    (tmp_path / "norm_stats.json").write_text("{}")
    with pytest.raises(StatisticsError, match="no 'norm_stats' at its root"):
        read_norm_stats(tmp_path / "norm_stats.json", FACTS, TASKS)
