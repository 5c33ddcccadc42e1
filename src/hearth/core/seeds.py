"""Every random choice derives from (experiment seed, purpose, index...), never the clock."""

from __future__ import annotations

import zlib

import numpy as np


def sequence(seed: int, purpose: str, *index: int) -> np.random.SeedSequence:
    """The seed sequence of one purpose, e.g. ``sequence(0, "demonstrations", task, episode)``.

    The purpose enters by its CRC-32 because Python's own `hash` differs between processes.
    """
    return np.random.SeedSequence([seed, zlib.crc32(purpose.encode()), *index])


def generator(seed: int, purpose: str, *index: int) -> np.random.Generator:
    """A NumPy generator for one purpose (PCG64, stable across platforms)."""
    return np.random.Generator(np.random.PCG64(sequence(seed, purpose, *index)))


def integer(seed: int, purpose: str, *index: int) -> int:
    """A 31-bit integer for one purpose, e.g. to seed a JAX key."""
    return int(sequence(seed, purpose, *index).generate_state(1)[0] >> 1)


def policy_seed(seed: int, task: int) -> int:
    """The seed of a policy's noise in an evaluation.

    Args:
        seed: the experiment's.
        task: the task's index in its benchmark.
    """
    return integer(seed, "policy", task)
