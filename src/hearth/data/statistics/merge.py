"""Pool the statistics of tasks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from hearth.benchmark import Benchmark
from hearth.core.data_sections import StatisticsSettings
from hearth.core.errors import StatisticsError
from hearth.core.files import hash_json
from hearth.core.statistics import Statistics
from hearth.data.statistics.histogram import DyadicHistogram
from hearth.data.statistics.moments import Moments
from hearth.data.statistics.partial import STAGES, TaskStatistics

_CONSTANT = 1e-6  # a standard deviation below this is rounding, not motion


@dataclass(frozen=True)
class TaskCounts:
    """What a task's demonstrations consist of; `stage_lengths` are mean frames per stage."""

    task: str
    episodes: int
    held_out: int
    short: int
    frames: int
    chunks: int
    mean_length: float
    stage_lengths: list[float]


@dataclass(frozen=True)
class Pooled:
    """All tasks together: the statistics, and what the figures and the report show beside them.

    Attributes:
        statistics: the value that training and policies use.
        counts: per task.
        state_histograms, delta_histograms: per dimension, of all tasks.
    """

    statistics: Statistics
    counts: list[TaskCounts]
    state_histograms: list[DyadicHistogram]
    delta_histograms: list[DyadicHistogram]


def delta_mask(settings: StatisticsSettings, benchmark: Benchmark) -> np.ndarray:
    """bool[D]: dimensions of a chunk that are taken against the state at its start."""
    return benchmark.robot.delta_mask & settings.delta_actions


def per_timestep_mask(settings: StatisticsSettings, benchmark: Benchmark) -> np.ndarray:
    """bool[D]: dimensions that are normalised by statistics of their timestep in the chunk."""
    robot = benchmark.robot
    if settings.per_timestep == "all":
        return np.ones(robot.action_width, dtype=bool)
    return robot.per_timestep_mask & settings.per_timestep


def pool(
    partials: Iterable[TaskStatistics], benchmark: Benchmark, settings: StatisticsSettings
) -> Pooled:
    """Merge the statistics of tasks; `partials` may be read one by one as they are taken.

    The order changes moments by rounding only (1e-15 of their size) and histograms not at all.

    Raises:
        StatisticsError: a partial is of another benchmark, robot or horizon, a task comes twice,
            or there is no full chunk at all.
    """
    width, horizon = benchmark.robot.action_width, settings.horizon
    chunks, state = Moments.empty(horizon * width), Moments.empty(width)
    state_histograms = [DyadicHistogram() for _ in range(width)]
    delta_histograms = [DyadicHistogram() for _ in range(width)]
    closed = np.zeros((benchmark.task_count, STAGES, 2), dtype=bool)
    counts: list[TaskCounts] = []
    fingerprints: list[str] = []
    for partial in partials:
        _check(partial, benchmark, horizon, counts)
        chunks, state = chunks.merged(partial.chunks), state.merged(partial.state)
        for pooled, own in (
            (state_histograms, partial.state_histograms),
            (delta_histograms, partial.delta_histograms),
        ):
            for histogram, addition in zip(pooled, own, strict=True):
                histogram.merge(addition)
        closed[partial.identity.task_index] |= partial.closed_frames > 0
        counts.append(counts_of(partial))
        fingerprints.append(partial.identity.fingerprint)
    _check_chunks(counts, horizon)
    chunk_mean = chunks.mean.reshape(horizon, width)
    chunk_variance = chunks.variance.reshape(horizon, width)
    action_mean = chunk_mean.mean(axis=0)
    between = np.square(chunk_mean - action_mean).mean(axis=0)
    statistics = Statistics(
        robot=benchmark.robot.name,
        benchmark=benchmark.name,
        tasks=tuple(count.task for count in counts),
        source_hash=hash_json(fingerprints),
        state_mean=state.mean,
        state_std=np.sqrt(state.variance),
        state_q01=_quantiles(state_histograms, 0.01),
        state_q99=_quantiles(state_histograms, 0.99),
        action_mean=action_mean,
        action_std=np.sqrt(chunk_variance.mean(axis=0) + between),
        action_q01=_quantiles(delta_histograms, 0.01),
        action_q99=_quantiles(delta_histograms, 0.99),
        chunk_mean=chunk_mean,
        chunk_std=np.sqrt(chunk_variance),
        correlation=correlation_of(chunks),
        gripper_closed=closed,
        per_timestep=per_timestep_mask(settings, benchmark),
        delta=delta_mask(settings, benchmark),
    )
    return Pooled(statistics, counts, state_histograms, delta_histograms)


def counts_of(partial: TaskStatistics) -> TaskCounts:
    """The counts of one task."""
    lengths = partial.episode_lengths
    present = np.flatnonzero(partial.stage_episodes)
    return TaskCounts(
        task=partial.identity.task,
        episodes=len(lengths),
        held_out=partial.held_out,
        short=partial.short,
        frames=int(lengths.sum()),
        chunks=partial.chunks.count,
        mean_length=float(lengths.mean()) if len(lengths) else 0.0,
        stage_lengths=(partial.stage_frames[present] / partial.stage_episodes[present]).tolist(),
    )


def correlation_of(chunks: Moments) -> np.ndarray:
    """Pearson correlation; an entry that never moves correlates with itself alone.

    Normalising an entry does not change it, so it holds for the normalised chunks as well.
    """
    std = np.sqrt(chunks.variance)
    moves = std > _CONSTANT
    scale = np.where(moves, 1.0 / np.where(moves, std, 1.0), 0.0)
    correlation = chunks.products / chunks.count * scale[:, None] * scale
    correlation = np.clip((correlation + correlation.T) / 2, -1.0, 1.0)
    np.fill_diagonal(correlation, 1.0)
    return correlation


def _quantiles(histograms: list[DyadicHistogram], q: float) -> np.ndarray:
    return np.array([histogram.quantile(q) for histogram in histograms])


def _check(
    partial: TaskStatistics, benchmark: Benchmark, horizon: int, counts: Sequence[TaskCounts]
) -> None:
    own = partial.identity
    found = (own.benchmark, own.robot, own.horizon)
    expected = (benchmark.name, benchmark.robot.name, horizon)
    if found != expected:
        raise StatisticsError(
            f"statistics of {own.task} are of benchmark '{found[0]}', robot '{found[1]}' and "
            f"horizon {found[2]}, not '{expected[0]}', '{expected[1]}' and {expected[2]}"
        )
    if own.task in [count.task for count in counts]:
        raise StatisticsError(f"statistics of {own.task} come twice")


def _check_chunks(counts: Sequence[TaskCounts], horizon: int) -> None:
    if not counts:
        raise StatisticsError("no tasks to pool statistics of")
    if not any(count.episodes for count in counts):
        names = ", ".join(count.task for count in counts)
        raise StatisticsError(f"no episodes to compute statistics of: {names} (all held out?)")
    if not any(count.chunks for count in counts):
        longest = max(count.mean_length for count in counts)
        raise StatisticsError(
            f"no episode is as long as the horizon of {horizon} frames (longest mean length of a "
            f"task: {longest:.0f}), so there is no full chunk; lower statistics.horizon"
        )
