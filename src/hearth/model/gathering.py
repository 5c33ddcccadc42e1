"""Where weights that lie spread over devices become whole: at their use, one layer at a time.

The network knows no devices. Whoever spreads its weights says here how to bring one together
(hearth.training.sharding); otherwise a weight is used as it is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar

import jax

Gather = Callable[[jax.Array], jax.Array]

_gather: ContextVar[Gather | None] = ContextVar("gather", default=None)


@contextlib.contextmanager
def gathering(function: Gather | None) -> Iterator[None]:
    """While a network is traced in this block, `function` brings each weight together."""
    token = _gather.set(function)
    try:
        yield
    finally:
        _gather.reset(token)


def gathered(weight: jax.Array) -> jax.Array:
    """The weight as a layer uses it."""
    function = _gather.get()
    return weight if function is None else function(weight)
