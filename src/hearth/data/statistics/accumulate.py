"""One streaming pass over the episodes of a task."""

from __future__ import annotations

import numpy as np

from hearth.benchmark import Benchmark
from hearth.core.errors import DataError
from hearth.data.episodes import EpisodeTable
from hearth.data.statistics.distributions import Distributions
from hearth.data.statistics.lagged import LaggedMoments
from hearth.data.statistics.moments import Moments
from hearth.data.statistics.partial import STAGES, Identity, TaskStatistics

GRIPPER_CLOSED = -0.98  # a gripper state below this is fully closed, with nothing between fingers
_SEGMENT = 1024  # starts that share a reference: half a minute, in which a joint travels little


class TaskAccumulator:
    """Adds episodes of one task one after another; memory does not grow with their number.

    Full chunks only: they start at rows 0 .. T - H of an episode of T rows. An episode shorter than
    the horizon H has none; it is counted, and its states and stages still enter. Held-out
    episodes are counted and stay out.
    """

    def __init__(
        self, benchmark: Benchmark, identity: Identity, delta: np.ndarray | None = None
    ) -> None:
        """`delta` bool[D]: dimensions taken against the state; None: as the robot's facts say."""
        robot = benchmark.robot
        self.identity, self.robot = identity, robot
        self.horizon = identity.horizon
        self.mask = robot.delta_mask if delta is None else delta
        self.width = robot.action_width
        self.chunks = LaggedMoments(self.horizon, self.mask)
        self.state = Moments.empty(self.width)
        self.distributions = Distributions(self.horizon, self.mask)
        self.stage_frames = np.zeros(STAGES, dtype=np.int64)
        self.stage_episodes = np.zeros(STAGES, dtype=np.int64)
        self.closed_frames = np.zeros((STAGES, 2), dtype=np.int64)
        self.lengths: list[int] = []
        self.held_out = self.short = 0
        self._reference: np.ndarray | None = None

    def add(self, table: EpisodeTable) -> None:
        """Add an episode.

        Raises:
            DataError: a number is not finite, a width is not the robot's or a stage is unknown.
        """
        if table.held_out:
            self.held_out += 1
            return
        self._check(table)
        self.lengths.append(len(table.state))
        self._add_stages(table)
        self.state = self.state.merged(Moments.of_rows(table.state))
        self.distributions.add(table.actions, table.state)
        if len(table.actions) < self.horizon:
            self.short += 1
            return
        self._add_moments(table)

    def _check(self, table: EpisodeTable) -> None:
        where = f"episode {table.index} of {table.task}"
        for name in ("actions", "state"):
            values = getattr(table, name)
            if values.ndim != 2 or values.shape[1] != self.width or not len(values):
                raise DataError(
                    f"{where}: {name} have shape {values.shape}; robot '{self.robot.name}' "
                    f"needs at least one row of {self.width}"
                )
            finite = np.isfinite(values)
            if not finite.all():
                bad = np.argwhere(~finite)
                row, dimension = bad[0]
                raise DataError(
                    f"{where}: {name}[{row}, {dimension}] is {values[row, dimension]}; "
                    f"{len(bad)} values are not finite"
                )
        if not len(table.actions) == len(table.state) == len(table.stage):
            raise DataError(
                f"{where}: {len(table.actions)} actions, {len(table.state)} states and "
                f"{len(table.stage)} stages"
            )
        if table.stage.min() < 0 or table.stage.max() >= STAGES:
            raise DataError(
                f"{where}: stages {table.stage.min()} to {table.stage.max()}; valid are 0 to "
                f"{STAGES - 1}"
            )

    def _add_stages(self, table: EpisodeTable) -> None:
        frames = np.bincount(table.stage, minlength=STAGES)
        self.stage_frames += frames
        self.stage_episodes += frames > 0
        for hand, dimension in enumerate(self.robot.gripper_dimensions):
            closed = table.stage[table.state[:, dimension] < GRIPPER_CLOSED]
            self.closed_frames[:, hand] += np.bincount(closed, minlength=STAGES)

    def _add_moments(self, table: EpisodeTable) -> None:
        actions, state = table.actions.astype(np.float64), table.state.astype(np.float64)
        if self._reference is None:
            self._reference = np.where(self.mask, 0.0, actions[0])
        # Large sums lose digits. So delta dimensions are shifted to the mean of a segment, which no
        # difference notices, and the others by one vector for the whole task. Segments overlap
        # by H - 1 rows: each start lies in one of them, with its whole chunk.
        starts = len(actions) - self.horizon + 1
        for first in range(0, starts, _SEGMENT):
            rows = slice(first, min(first + _SEGMENT, starts) + self.horizon - 1)
            shift = np.where(self.mask, state[rows].mean(axis=0), self._reference)
            self.chunks.add(actions[rows] - shift, state[rows] - shift)

    def finish(self) -> TaskStatistics:
        """The statistics of what was added."""
        state_histograms, delta_histograms = self.distributions.finish()
        chunks = self.chunks.moments()
        if self._reference is not None:
            chunks = chunks.shifted(np.tile(self._reference, self.horizon))
        return TaskStatistics(
            identity=self.identity,
            chunks=chunks,
            state=self.state,
            state_histograms=state_histograms,
            delta_histograms=delta_histograms,
            stage_frames=self.stage_frames,
            stage_episodes=self.stage_episodes,
            closed_frames=self.closed_frames,
            episode_lengths=np.array(self.lengths, dtype=np.int64),
            held_out=self.held_out,
            short=self.short,
        )
