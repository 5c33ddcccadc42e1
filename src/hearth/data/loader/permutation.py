"""Keyed permutations of 0..N-1 without a table: a Feistel network that walks its cycles.

A Feistel network over 2w bits is a bijection whatever its round function (Luby and Rackoff, 1988).
With the smallest 2w bits that hold N, an index that leaves 0..N-1 is sent through again until it
is back inside, after at most four times on average (Black and Rogaway, 2002).
"""

from __future__ import annotations

import numpy as np

_ROUNDS = 6
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def permute(indices: np.ndarray, sizes: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Send each index through the permutation of its own size and key.

    Args:
        indices: int64[n], 0 <= index < size.
        sizes: int64[n], 1 to 2**62.
        keys: uint64[n].

    Returns:
        int64[n], 0 <= result < size.
    """
    limits = sizes.astype(np.uint64)
    # Half the bits of size - 1, rounded up: frexp's exponent is the number of bits.
    halves = ((np.frexp((sizes - 1).astype(np.float64))[1] + 1) // 2).astype(np.uint64)
    result = _network(indices.astype(np.uint64), halves, keys)
    outside = np.flatnonzero(result >= limits)
    while len(outside):
        result[outside] = _network(result[outside], halves[outside], keys[outside])
        outside = outside[result[outside] >= limits[outside]]
    return result.astype(np.int64)


def _network(values: np.ndarray, halves: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """A bijection of the numbers of 2 * `halves` bits, by key."""
    masks = (np.uint64(1) << halves) - np.uint64(1)
    left, right = values >> halves, values & masks
    round_keys = keys
    for _ in range(_ROUNDS):
        round_keys = _mix(round_keys + _GOLDEN)
        left, right = right, left ^ (_mix(right ^ round_keys) & masks)
    return (left << halves) | right


def _mix(values: np.ndarray) -> np.ndarray:
    """SplitMix64's finaliser: every bit of the result depends on every bit of the value."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
