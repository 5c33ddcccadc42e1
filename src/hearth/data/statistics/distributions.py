"""The distributions of states and of all entries of all delta chunks, per dimension."""

from __future__ import annotations

import numpy as np

from hearth.data.statistics.histogram import DyadicHistogram

_WAITING = 16_384  # rows counted together: short episodes would cost a call each
_BLOCK = 2048  # starts counted together: 30 lags of them fit into a core's cache


class Distributions:
    """Histograms of a stream of episodes.

    Args:
        horizon: H, rows per chunk.
        delta_mask: bool[D], dimensions taken against the state at the chunk's start.
    """

    def __init__(self, horizon: int, delta_mask: np.ndarray) -> None:
        self.horizon, self.delta_mask = horizon, delta_mask
        self._state = [DyadicHistogram() for _ in delta_mask]
        self._delta = [DyadicHistogram() for _ in delta_mask]
        self._rows: list[tuple[np.ndarray, np.ndarray, int]] = []
        self._waiting = 0

    def add(self, actions: np.ndarray, state: np.ndarray) -> None:
        """Add an episode, float32[T, D] each; one shorter than H counts in the states alone."""
        self._rows.append((actions, state, max(0, len(actions) - self.horizon + 1)))
        self._waiting += len(actions)
        if self._waiting >= _WAITING:
            self._flush()

    def finish(self) -> tuple[list[DyadicHistogram], list[DyadicHistogram]]:
        """Histograms of the states and of the chunk entries, D each."""
        self._flush()
        return self._state, self._delta

    def _flush(self) -> None:
        if not self._rows:
            return
        # One row of memory per dimension: everything below runs along time.
        actions = np.concatenate([actions for actions, _, _ in self._rows]).T.copy()
        state = np.concatenate([state for _, state, _ in self._rows]).T.copy()
        is_start = np.concatenate(
            [np.arange(len(actions)) < starts for actions, _, starts in self._rows]
        )
        chunks_of_row = np.concatenate(
            [self._chunks_of_row(len(actions), starts) for actions, _, starts in self._rows]
        )
        self._rows, self._waiting = [], 0
        in_chunk = chunks_of_row > 0
        for dimension, is_delta in enumerate(self.delta_mask):
            self._state[dimension].add(state[dimension])
            if not is_delta:
                self._delta[dimension].add(actions[dimension][in_chunk], chunks_of_row[in_chunk])
        self._add_lagged(actions[self.delta_mask], state[self.delta_mask], is_start)

    def _chunks_of_row(self, length: int, starts: int) -> np.ndarray:
        """How many chunks hold each row: one per start from r - H + 1 to r that exists."""
        rows = np.arange(length)
        first, last = np.maximum(rows - self.horizon + 1, 0), np.minimum(rows, starts - 1)
        return np.maximum(last - first + 1, 0)

    def _add_lagged(self, actions: np.ndarray, state: np.ndarray, is_start: np.ndarray) -> None:
        """Count a[t + k] - s[t] for all starts t and all k < H, of float32[delta dimensions, rows].

        A start's chunk ends within its episode, so episodes may follow each other without a gap.
        """
        histograms = [self._delta[dimension] for dimension in np.flatnonzero(self.delta_mask)]
        final = int(np.flatnonzero(is_start)[-1]) + 1 if is_start.any() else 0
        for first in range(0, final, _BLOCK):
            stop = min(first + _BLOCK, final)
            chosen = is_start[first:stop]
            every = bool(chosen.all())
            lagged = np.lib.stride_tricks.sliding_window_view(
                actions[:, first : stop + self.horizon - 1], stop - first, axis=1
            )
            for row, histogram in enumerate(histograms):
                deltas = lagged[row] - state[row, first:stop]
                histogram.add(deltas if every else deltas[:, chosen])
