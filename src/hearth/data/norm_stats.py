"""Normalisation statistics in openpi's `norm_stats.json`, as the winning system extends them.

The file holds, for `state` and `actions`, `mean`, `std`, `q01` and `q99`; for the actions also
`per_timestamp_mean` and `per_timestamp_std` [H, D'], and `action_correlation_cholesky`
[H * D', H * D'], the lower factor of the correlation of chunks plus a small multiple of the
identity. D' is the robot's action width, or the network's padded one.

openpi normalises with (x - mean) / (std + 1e-6), every action dimension per timestep. `Statistics`
divides by what it holds as the standard deviation, so the constant is added when a file comes in
and taken off when one goes out: both sides then compute the same numbers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hearth.benchmark.benchmark import Benchmark
from hearth.core.errors import StatisticsError, choices
from hearth.core.files import hash_file, read_json, write_text
from hearth.core.statistics import SMALLEST_STD, Statistics
from hearth.data.statistics import STAGES

_ADDED = 1e-6  # to the standard deviation, by openpi's normalisation
_RIDGE = 1e-6  # on the correlation's diagonal, before it is factored
_INDEPENDENT = 1e-4  # a correlation of padding below this is rounding
_QUANTITIES = ("mean", "std", "q01", "q99")
_CHOLESKY = "action_correlation_cholesky"


def read_norm_stats(path: Path | str, benchmark: Benchmark, tasks: tuple[str, ...]) -> Statistics:
    """The statistics of a file.

    Args:
        path: `norm_stats.json`.
        benchmark: its robot gives the action width; its name and tasks are noted.
        tasks: names of the tasks whose demonstrations were pooled, which the file does not say.

    Raises:
        DataError: the file is missing or is not JSON.
        StatisticsError: a quantity is missing or has the wrong shape.
    """
    values = read_json(path)
    if not isinstance(values, dict) or "norm_stats" not in values:
        raise StatisticsError(f"{path} has no 'norm_stats' at its root")
    return statistics_of_norm_stats(
        values["norm_stats"], benchmark, tasks, source_hash=hash_file(path), source=str(path)
    )


def statistics_of_norm_stats(
    values: Mapping[str, Any],
    benchmark: Benchmark,
    tasks: tuple[str, ...],
    *,
    source_hash: str,
    source: str,
) -> Statistics:
    """The statistics of a file's content {"state": {...}, "actions": {...}}; see `read_norm_stats`.

    What the file does not hold: where a hand was closed in the demonstrations. The table says
    "anywhere", so that no closed hand counts as a failed grasp; closures given in the runtime's
    settings take its place.
    """
    robot = benchmark.robot
    width = robot.action_width
    state = {key: _vector(values, "state", key, width, source) for key in _QUANTITIES}
    action = {key: _vector(values, "actions", key, width, source) for key in _QUANTITIES}
    chunk_mean = _table(values, "per_timestamp_mean", width, source)
    chunk_std = _table(values, "per_timestamp_std", width, source)
    if chunk_mean.shape != chunk_std.shape:
        raise StatisticsError(
            f"{source}: actions.per_timestamp_mean has {len(chunk_mean)} timesteps, "
            f"actions.per_timestamp_std {len(chunk_std)}"
        )
    return Statistics(
        robot=robot.name,
        benchmark=benchmark.name,
        tasks=tasks,
        source_hash=source_hash,
        state_mean=state["mean"],
        state_std=state["std"] + _ADDED,
        state_q01=state["q01"],
        state_q99=state["q99"],
        action_mean=action["mean"],
        action_std=action["std"] + _ADDED,
        action_q01=action["q01"],
        action_q99=action["q99"],
        chunk_mean=chunk_mean,
        chunk_std=chunk_std + _ADDED,
        correlation=_correlation(values, len(chunk_mean), width, source),
        gripper_closed=np.ones(
            (benchmark.task_count, STAGES, len(robot.gripper_dimensions)), dtype=bool
        ),
        per_timestep=np.ones(width, dtype=bool),
        delta=robot.delta_mask.copy(),
    )


def norm_stats_of(statistics: Statistics, padded_width: int) -> dict[str, Any]:
    """The content of a file that makes openpi normalise as `statistics` does.

    Dimensions that hearth normalises with global statistics get those at every timestep. Quantiles
    per timestep are left out: normalisation by mean and deviation does not read them.

    Args:
        padded_width: action width of the network, for the correlation's factor.
    """
    horizon = statistics.horizon
    mean = np.where(statistics.per_timestep, statistics.chunk_mean, statistics.action_mean)
    std = np.where(statistics.per_timestep, statistics.chunk_std, statistics.action_std)
    factor = padded_cholesky(statistics.correlation, horizon, padded_width)
    state = {
        "mean": statistics.state_mean,
        "std": _their_std(statistics.state_std),
        "q01": statistics.state_q01,
        "q99": statistics.state_q99,
    }
    actions = {
        "mean": statistics.action_mean,
        "std": _their_std(statistics.action_std),
        "q01": statistics.action_q01,
        "q99": statistics.action_q99,
        "per_timestamp_mean": mean,
        "per_timestamp_std": _their_std(std),
        "per_timestamp_q01": None,
        "per_timestamp_q99": None,
        _CHOLESKY: factor,
    }
    return {"state": _lists(state), "actions": _lists(actions)}


def write_norm_stats(path: Path | str, statistics: Statistics, padded_width: int) -> None:
    """Write `norm_stats.json` atomically; some 20 MB, nearly all of it the correlation's factor."""
    values = {"norm_stats": norm_stats_of(statistics, padded_width)}
    write_text(path, json.dumps(values, allow_nan=False))


def padded_cholesky(correlation: np.ndarray, horizon: int, padded_width: int) -> np.ndarray:
    """float64[H*D', H*D'], lower factor of the correlation plus the ridge; padding independent.

    Raises:
        StatisticsError: the correlation is not positive semidefinite.
    """
    width = len(correlation) // horizon
    padded = np.eye(horizon * padded_width)
    rows = _real_rows(horizon, width, padded_width)
    padded[np.ix_(rows, rows)] = correlation
    try:
        return np.linalg.cholesky(padded + _RIDGE * np.eye(len(padded)))
    except np.linalg.LinAlgError as error:
        raise StatisticsError(f"the correlation of actions has no factor: {error}") from error


def _their_std(ours: np.ndarray) -> np.ndarray:
    """The deviation which, with openpi's constant added, is what hearth divides by."""
    return np.maximum(ours, SMALLEST_STD) - _ADDED


def _lists(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value.tolist() if isinstance(value, np.ndarray) else value
        for key, value in values.items()
    }


def _real_rows(horizon: int, width: int, padded_width: int) -> np.ndarray:
    """Flat indices t * D' + d of the real dimensions d < D."""
    return (np.arange(horizon)[:, None] * padded_width + np.arange(width)).ravel()


def _array(values: Mapping[str, Any], part: str, key: str, source: str) -> np.ndarray:
    if part not in values:
        raise StatisticsError(f"{source} has no '{part}': {choices(part, values)}")
    if values[part].get(key) is None:
        present = [name for name, value in values[part].items() if value is not None]
        raise StatisticsError(f"{source} has no '{part}.{key}': {choices(key, present)}")
    try:
        array = np.asarray(values[part][key], np.float64)
    except (TypeError, ValueError) as error:
        raise StatisticsError(f"{source}: {part}.{key} is not an array: {error}") from error
    if not np.isfinite(array).all():
        raise StatisticsError(f"{source}: {part}.{key} holds values that are not finite")
    return array


def _vector(values: Mapping[str, Any], part: str, key: str, width: int, source: str) -> np.ndarray:
    array = _array(values, part, key, source)
    if array.ndim != 1 or len(array) < width:
        raise StatisticsError(
            f"{source}: {part}.{key} has shape {array.shape}; the robot has {width} dimensions"
        )
    return array[:width]


def _table(values: Mapping[str, Any], key: str, width: int, source: str) -> np.ndarray:
    array = _array(values, "actions", key, source)
    if array.ndim != 2 or array.shape[1] < width:
        raise StatisticsError(
            f"{source}: actions.{key} has shape {array.shape}; wanted is (horizon, {width}) or "
            "the padded width"
        )
    return array[:, :width]


def _correlation(values: Mapping[str, Any], horizon: int, width: int, source: str) -> np.ndarray:
    """float64[H*D, H*D] from the factor; what the file adds to the diagonal is dropped again."""
    factor = _array(values, "actions", _CHOLESKY, source)
    size = len(factor)
    padded_width = size // horizon
    if factor.shape != (size, size) or padded_width * horizon != size or padded_width < width:
        raise StatisticsError(
            f"{source}: actions.{_CHOLESKY} has shape {factor.shape}; with {horizon} timesteps and "
            f"{width} dimensions it must be square, with {horizon * width} rows or more"
        )
    product = factor @ factor.T
    rows = _real_rows(horizon, width, padded_width)
    padding = np.setdiff1d(np.arange(size), rows)
    leak = np.abs(product[np.ix_(rows, padding)]).max(initial=0.0)
    if leak > _INDEPENDENT:
        raise StatisticsError(
            f"{source}: actions.{_CHOLESKY} correlates padding dimensions with real ones "
            f"(up to {leak:.3g}); its flat index must be timestep * {padded_width} + dimension"
        )
    correlation = product[np.ix_(rows, rows)]
    np.fill_diagonal(correlation, 1.0)
    return correlation
