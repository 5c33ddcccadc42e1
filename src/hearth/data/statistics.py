"""Compute the statistics of prepared episodes, exactly, over all action chunks.

Chunks start at every frame (every `chunk_stride`-th), are padded with the episode's last action
like the loader's, and are taken as deltas against the state at their start (report, 4.5). Held-out
episodes stay out.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hearth.benchmark import Benchmark, load_benchmark
from hearth.core.actions import to_delta
from hearth.core.errors import DataError
from hearth.core.files import hash_json, read_json
from hearth.core.results import Results
from hearth.core.settings import Settings
from hearth.core.statistics import Statistics
from hearth.data.episodes import EpisodeTable, open_file, read_tables

STAGES = 15  # rows of the gripper table per task: the most stages a task may have
GRIPPER_CLOSED = -0.98  # a gripper state below this is fully closed, with nothing between fingers
_BLOCK = 4096  # chunks per matrix product; 4096 x 690 float64 are 23 MB
_CONSTANT = 1e-6  # a standard deviation below this is rounding, not motion


def compute_statistics(settings: Settings, tasks: tuple[str, ...]) -> Statistics:
    """Pool the prepared episodes of `tasks`; two runs over the same files give the same numbers.

    Raises:
        DataError: a task is not prepared, or its file belongs to another benchmark.
    """
    results = Results.of(settings)
    benchmark = load_benchmark(settings.benchmark)
    tables = []
    for task in tasks:
        check_file(results.episodes(task), benchmark)
        tables += [t for t in read_tables(results.episodes(task)) if not t.held_out]
    hashes = [read_json(results.prepared(task))["hash"] for task in tasks]
    return statistics_of(
        tables,
        benchmark,
        tasks,
        horizon=settings.statistics.horizon,
        stride=settings.statistics.chunk_stride,
        source_hash=hash_json(hashes),
    )


def check_file(path: Path, benchmark: Benchmark) -> int:
    """Check that a prepared file belongs to `benchmark`; returns its image size in pixels.

    Raises:
        DataError: it is missing, unreadable, or of another benchmark or robot.
    """
    with open_file(path) as file:
        found = str(file.attrs["benchmark"]), str(file.attrs["robot"])
        if found != (benchmark.name, benchmark.robot.name):
            raise DataError(
                f"{path} was prepared for benchmark '{found[0]}' and robot '{found[1]}', not "
                f"'{benchmark.name}' and '{benchmark.robot.name}'"
            )
        return int(file.attrs["image_size"])  # type: ignore[arg-type]


def statistics_of(
    tables: list[EpisodeTable],
    benchmark: Benchmark,
    tasks: tuple[str, ...],
    *,
    horizon: int,
    stride: int,
    source_hash: str,
) -> Statistics:
    """Statistics of tables in memory.

    Raises:
        DataError: there is no episode.
    """
    if not tables:
        raise DataError(f"no episodes to compute statistics of: {', '.join(tasks) or 'no tasks'}")
    robot = benchmark.robot
    mean, covariance = _chunk_moments(tables, robot.delta_mask, horizon, stride)
    width = robot.action_width
    chunk_mean = mean.reshape(horizon, width)
    chunk_variance = np.maximum(covariance.diagonal(), 0.0).reshape(horizon, width)
    action_mean = chunk_mean.mean(axis=0)
    between = np.square(chunk_mean - action_mean).mean(axis=0)
    quantiles = _action_quantiles(tables, robot.delta_mask, horizon, stride)
    states = np.concatenate([table.state for table in tables]).astype(np.float64)
    state_quantiles = np.quantile(states, [0.01, 0.99], axis=0)
    return Statistics(
        robot=robot.name,
        benchmark=benchmark.name,
        tasks=tuple(tasks),
        source_hash=source_hash,
        state_mean=states.mean(axis=0),
        state_std=states.std(axis=0),
        state_q01=state_quantiles[0],
        state_q99=state_quantiles[1],
        action_mean=action_mean,
        action_std=np.sqrt(chunk_variance.mean(axis=0) + between),
        action_q01=quantiles[0],
        action_q99=quantiles[1],
        chunk_mean=chunk_mean,
        chunk_std=np.sqrt(chunk_variance),
        correlation=_correlation(covariance),
        gripper_closed=gripper_closures(tables, benchmark),
        per_timestep=robot.per_timestep_mask.copy(),
    )


def delta_chunks(table: EpisodeTable, mask: np.ndarray, horizon: int, stride: int) -> np.ndarray:
    """All delta chunks of an episode, float64[n, H, D], ends padded with the last action."""
    length = len(table.actions)
    starts = np.arange(0, length, stride)
    rows = np.minimum(starts[:, None] + np.arange(horizon), length - 1)
    actions, state = table.actions.astype(np.float64), table.state.astype(np.float64)
    return to_delta(actions[rows], state[starts], mask)


def _blocks(
    tables: list[EpisodeTable], mask: np.ndarray, horizon: int, stride: int
) -> Iterator[np.ndarray]:
    """Flat chunks float64[n, H * D] in blocks of about `_BLOCK` rows: large products are fast."""
    waiting, count = [], 0
    for table in tables:
        chunks = delta_chunks(table, mask, horizon, stride)
        waiting.append(chunks.reshape(len(chunks), -1))
        count += len(chunks)
        if count >= _BLOCK:
            yield np.concatenate(waiting)
            waiting, count = [], 0
    if waiting:
        yield np.concatenate(waiting)


def _chunk_moments(
    tables: list[EpisodeTable], mask: np.ndarray, horizon: int, stride: int
) -> tuple[np.ndarray, np.ndarray]:
    """Mean float64[H*D] and population covariance float64[H*D, H*D] in one pass.

    Sums are taken around the first block's mean, which keeps the cancellation harmless.
    """
    size = horizon * len(mask)
    total, products, count = np.zeros(size), np.zeros((size, size)), 0
    centre = None
    for block in _blocks(tables, mask, horizon, stride):
        if centre is None:
            centre = block.mean(axis=0)
        block -= centre
        total += block.sum(axis=0)
        products += block.T @ block
        count += len(block)
    assert centre is not None
    offset = total / count
    return centre + offset, products / count - np.outer(offset, offset)


def _correlation(covariance: np.ndarray) -> np.ndarray:
    """Pearson correlation; an entry that never moves correlates with itself alone.

    Normalising an entry does not change it, so it holds for the normalised chunks as well.
    """
    std = np.sqrt(np.maximum(covariance.diagonal(), 0.0))
    moves = std > _CONSTANT
    scale = np.where(moves, 1.0 / np.where(moves, std, 1.0), 0.0)
    correlation = covariance * scale[:, None] * scale
    correlation = np.clip((correlation + correlation.T) / 2, -1.0, 1.0)
    np.fill_diagonal(correlation, 1.0)
    return correlation


def _action_quantiles(
    tables: list[EpisodeTable], mask: np.ndarray, horizon: int, stride: int
) -> np.ndarray:
    """Exact q01 and q99 of the delta entries over all chunk indices, float64[2, D].

    One dimension at a time, so that memory holds H values per frame and not H * D.
    """
    found = np.empty((2, len(mask)))
    for dimension in range(len(mask)):
        pick = slice(dimension, dimension + 1)
        values = [
            delta_chunks(_only(table, pick), mask[pick], horizon, stride).ravel()
            for table in tables
        ]
        found[:, dimension] = np.quantile(
            np.concatenate(values), [0.01, 0.99], overwrite_input=True
        )
    return found


def _only(table: EpisodeTable, pick: slice) -> EpisodeTable:
    return EpisodeTable(
        table.index, table.task, table.task_index, table.held_out,
        table.actions[:, pick], table.state[:, pick], table.stage, table.frame_index,
    )  # fmt: skip


def gripper_closures(tables: list[EpisodeTable], benchmark: Benchmark) -> np.ndarray:
    """bool[task_count, 15, 2]: this hand (left, right) was fully closed at this task and stage.

    Read from the measured state, not from the command: a hand that holds something is commanded to
    close but its fingers stay apart, so below the threshold means closed on nothing. Where no
    demonstration ever did that, a closed hand is a failed grasp (report, 7.4).
    """
    closed = np.zeros((benchmark.task_count, STAGES, 2), dtype=bool)
    for table in tables:
        for hand, dimension in enumerate(benchmark.robot.gripper_dimensions):
            stages = table.stage[table.state[:, dimension] < GRIPPER_CLOSED]
            closed[table.task_index, np.unique(stages), hand] = True
    return closed
