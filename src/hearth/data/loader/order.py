"""The order of samples: a pure function of seed and position, whoever asks and in whatever order.

Position p counts the samples of a whole training, over all processes and devices. No order is held
in memory: a keyed permutation gives the sample of any position by itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hearth.core import seeds
from hearth.data.loader.permutation import permute

# Positions over which the shares of the tasks hold exactly: 50 tasks differ from what was asked by
# less than a percent, and any thousand neighbouring positions are mixed like drawn ones.
_BLOCK = 2**16
_KEPT_KEYS = 4096


class SampleOrder:
    """Samples 0..N-1, numbered task by task, in the order in which training sees them.

    At temperature 1 an epoch is one permutation of all samples: uniform over frames. Otherwise
    every task runs through epochs of its own, and its share of the positions is proportional to
    its samples to the power of the temperature, so that 0 gives all tasks the same.

    Args:
        task_sizes: how many samples each task has, in their order; each at least 1.
        seed: decides the order, with the epoch.
        temperature: in [0, 1].
    """

    def __init__(self, task_sizes: Sequence[int], seed: int, temperature: float = 1.0) -> None:
        self._seed = seed
        sizes = [sum(task_sizes)] if temperature == 1.0 else task_sizes
        self._sizes = np.array(sizes, dtype=np.int64)
        self._starts = np.cumsum(self._sizes) - self._sizes
        self.quotas = _quotas(self._sizes.astype(float) ** temperature, _BLOCK)
        self._borders = np.cumsum(self.quotas)
        self._keys: dict[tuple[int, int], int] = {}

    def samples(self, positions: np.ndarray) -> np.ndarray:
        """int64[n], the samples at `positions` int64[n], which may be any numbers from 0."""
        if len(self._sizes) == 1:
            task, turn = np.zeros_like(positions), positions
        else:
            block, place = np.divmod(positions, _BLOCK)
            blocks = np.full_like(place, _BLOCK)
            place = permute(place, blocks, self._key_of(np.zeros_like(block), block))
            task = np.searchsorted(self._borders, place, side="right")
            quota = self.quotas[task]
            # The task's turns of this block come after those of all blocks before.
            turn = block * quota + place - (self._borders[task] - quota)
        size = self._sizes[task]
        epoch, within = np.divmod(turn, size)
        return self._starts[task] + permute(within, size, self._key_of(1 + task, epoch))

    def _key_of(self, purposes: np.ndarray, epochs: np.ndarray) -> np.ndarray:
        """uint64[n]; a batch holds few different ones."""
        pairs = zip(purposes.tolist(), epochs.tolist(), strict=True)
        return np.array([self._key(*pair) for pair in pairs], dtype=np.uint64)

    def _key(self, purpose: int, epoch: int) -> int:
        key = self._keys.get((purpose, epoch))
        if key is None:
            sequence = seeds.sequence(self._seed, "loader", purpose, epoch)
            key = int(sequence.generate_state(1, np.uint64)[0])
            if len(self._keys) >= _KEPT_KEYS:
                self._keys = {}  # a new dictionary needs no lock between threads
            self._keys[purpose, epoch] = key
        return key


def _quotas(weights: np.ndarray, total: int) -> np.ndarray:
    """int64 shares of `total` in proportion to `weights`, by largest remainder, each at least 1."""
    exact = weights / weights.sum() * total
    shares = np.maximum(np.floor(exact).astype(np.int64), 1)
    missing = total - int(shares.sum())
    if missing > 0:
        shares[np.argsort(shares - exact, kind="stable")[:missing]] += 1
    else:
        shares[np.argmax(shares)] += missing
    return shares
