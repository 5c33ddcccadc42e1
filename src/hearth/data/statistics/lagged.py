"""The moments of all delta chunks of a stream of episodes, from products of rows k steps apart.

A chunk that starts at row t holds c_t[k, d] = a[t + k, d] - m[d] s[t, d]: actions a, state s, and m
marks the delta dimensions (report, 4.5). The sum over t of c_t c_t^T therefore splits into

    A[k, l] = sum a[t + k] a[t + l]^T,    C[k] = sum a[t + k] s[t]^T,    S = sum s[t] s[t]^T

over the starts t = 0 .. N - 1 of an episode. Of A only the first row, A[0, l], needs a sum over all
starts: from A[k, l] to A[k + 1, l + 1] the window moves by one row, so they differ by the products
of rows beyond the last start and before the first one,

    A[k + 1, l + 1] = A[k, l] + a[N + k] a[N + l]^T - a[k] a[l]^T,

and these edges sum up over episodes to one matrix. A[0, l] and C[l] for all l < H are the
cross-correlation of the rows at starts with all rows, which the Fourier transform of blocks gives.
Instead of (H D)^2 products a row, this takes about D (D + delta dimensions) of them.
"""

from __future__ import annotations

import numpy as np

from hearth.data.statistics.moments import Moments

_BLOCKS = 32  # blocks that are waited for: products of few blocks would be all overhead
_MOST_BLOCKS = 64  # blocks transformed together, for the caches and for memory
_EDGES = 64  # episodes whose edges are multiplied together


class LaggedMoments:
    """Accumulates episodes; `moments` gives the moments of all their full chunks.

    Args:
        horizon: H, rows per chunk.
        delta_mask: bool[D], dimensions taken against the state at the chunk's start.
    """

    def __init__(self, horizon: int, delta_mask: np.ndarray) -> None:
        self.horizon, self.delta_mask = horizon, delta_mask
        self.width, self.deltas = len(delta_mask), int(delta_mask.sum())
        self.length = max(256, 2 ** int(np.ceil(np.log2(8 * horizon))))  # of a transform, in rows
        self.step = self.length - (horizon - 1)  # rows of a block that may be starts
        left = self.width + self.deltas
        self.count = 0
        self._spectrum = np.zeros((self.length // 2 + 1, left, self.width), dtype=np.complex128)
        self._state_products = np.zeros((self.deltas, self.deltas))
        self._left_sum = np.zeros(left)
        edge = (horizon - 1) * self.width
        self._edge_products, self._edge_sum = np.zeros((edge, edge)), np.zeros(edge)
        self._rows: list[np.ndarray] = []
        self._starts: list[np.ndarray] = []
        self._waiting = 0
        self._heads: list[np.ndarray] = []
        self._tails: list[np.ndarray] = []

    def add(self, actions: np.ndarray, state: np.ndarray) -> None:
        """Add an episode: float64[T, D] each, T >= H.

        Delta dimensions of both may be shifted by the same number per episode to keep the sums
        small: their differences stay as they are. A part of an episode counts as an episode.
        """
        count = len(actions) - self.horizon + 1
        starts = np.zeros((len(actions), self.width + self.deltas))
        starts[:count, : self.width] = actions[:count]
        starts[:count, self.width :] = state[:count, self.delta_mask]
        self.count += count
        self._rows.append(actions)
        self._starts.append(starts)
        self._waiting += len(actions)
        self._heads.append(actions[: self.horizon - 1].ravel())
        self._tails.append(actions[count:].ravel())
        if self._waiting >= _BLOCKS * self.step:
            self._flush_rows()
        if len(self._heads) >= _EDGES:
            self._flush_edges()

    def _flush_rows(self) -> None:
        """Correlate the waiting rows. A start's chunk ends within its episode, so episodes may

        follow each other without a gap: the last H - 1 rows of each are no starts (zero).
        """
        if not self._rows:
            return
        blocks = -(-self._waiting // self.step)
        rows = _stacked(self._rows, blocks * self.step + self.horizon - 1)
        starts = _stacked(self._starts, blocks * self.step)
        self._rows, self._starts, self._waiting = [], [], 0
        self._left_sum += starts.sum(axis=0)
        state = starts[:, self.width :]
        self._state_products += state.T @ state
        starts = starts.reshape(blocks, self.step, -1)
        windows = np.lib.stride_tricks.sliding_window_view(rows, self.length, axis=0)
        windows = windows[:: self.step].swapaxes(1, 2)
        for first in range(0, blocks, _MOST_BLOCKS):
            part = slice(first, first + _MOST_BLOCKS)
            left = np.fft.rfft(starts[part], self.length, axis=1)
            right = np.conj(np.fft.rfft(windows[part], axis=1))
            self._spectrum += left.transpose(1, 2, 0) @ right.transpose(1, 0, 2)

    def _flush_edges(self) -> None:
        if not self._heads:
            return
        heads, tails = np.stack(self._heads), np.stack(self._tails)
        self._heads, self._tails = [], []
        self._edge_products += tails.T @ tails - heads.T @ heads
        self._edge_sum += tails.sum(axis=0) - heads.sum(axis=0)

    def moments(self) -> Moments:
        """Moments of the flat chunks, index k * D + d."""
        self._flush_rows()
        self._flush_edges()
        lagged = np.fft.irfft(np.conj(self._spectrum), self.length, axis=0)[: self.horizon]
        products = self._action_products(lagged[:, : self.width])
        self._subtract_state(products, lagged[:, self.width :])
        size = self.horizon * self.width
        return Moments.of_sums(self.count, self._sums().ravel(), products.reshape(size, size))

    def _action_products(self, first_row: np.ndarray) -> np.ndarray:
        """A as float64[H, D, H, D] from A[0, l] float64[H, D, D]."""
        horizon, width = self.horizon, self.width
        products = np.empty((horizon, width, horizon, width))
        edges = self._edge_products.reshape(horizon - 1, width, horizon - 1, width)
        products[0] = first_row.transpose(1, 0, 2)
        for k in range(horizon - 1):
            products[k + 1, :, k + 1 :] = products[k, :, k:-1] + edges[k, :, k:]
        for k in range(horizon):
            products[k + 1 :, :, k] = products[k, :, k + 1 :].transpose(1, 2, 0)
        return products

    def _subtract_state(self, products: np.ndarray, lagged: np.ndarray) -> None:
        """Turn A into the products of chunks; `lagged` [H, deltas, D] holds the transposed C."""
        cross = np.zeros((self.horizon, self.width, self.width))
        cross[:, :, self.delta_mask] = lagged.transpose(0, 2, 1)
        state = np.zeros((self.width, self.width))
        state[np.ix_(self.delta_mask, self.delta_mask)] = self._state_products
        products -= cross[:, :, None, :]
        products -= cross.transpose(2, 0, 1)[None]
        products += state[None, :, None, :]

    def _sums(self) -> np.ndarray:
        """Sums of the chunk entries, float64[H, D]."""
        edges = self._edge_sum.reshape(self.horizon - 1, self.width)
        sums = np.vstack([self._left_sum[: self.width], edges]).cumsum(axis=0)
        sums[:, self.delta_mask] -= self._left_sum[self.width :]
        return sums


def _stacked(parts: list[np.ndarray], length: int) -> np.ndarray:
    """The rows of all parts, and zeros up to `length` rows."""
    stacked = np.zeros((length, parts[0].shape[1]))
    filled = sum(len(part) for part in parts)
    np.concatenate(parts, out=stacked[:filled])
    return stacked
