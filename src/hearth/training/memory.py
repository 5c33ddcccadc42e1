"""How a training on the CPU allocates its memory."""

from __future__ import annotations

import ctypes
import importlib.metadata
import os
import sys

# Parameters of glibc's mallopt (malloc.h).
_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8
_KEPT_BYTES = 1 << 30


def keep_freed_memory() -> bool:
    """Let the allocator keep up to 1 GiB that was freed, where JAX computes on the CPU alone.

    XLA allocates a step's buffers anew in every step. By default they go back to the system each
    time, and the next step pays for new pages: a sixth of a tiny step's processor time. To be
    called before JAX starts its threads, which would get pools of their own.

    Returns:
        Whether it was done; with an accelerator, or without glibc, there is nothing to gain.
    """
    if sys.platform != "linux" or not _computes_on_cpu():
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallopt"):
        return False
    wanted = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, _KEPT_BYTES), (_ARENA_MAX, 1))
    return all(library.mallopt(parameter, value) == 1 for parameter, value in wanted)


def _computes_on_cpu() -> bool:
    """Whether JAX will find no accelerator, told without starting it."""
    if os.environ.get("JAX_PLATFORMS"):
        return os.environ["JAX_PLATFORMS"] == "cpu"
    return not importlib.metadata.entry_points(group="jax_plugins")
