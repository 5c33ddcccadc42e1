"""Imports of libraries that would load more than is needed of them."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def without(package: str) -> Iterator[None]:
    """Let imports in this block find no `package`, unless it is loaded already.

    For libraries that can do without it. Other threads must not import it meanwhile.
    """
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[package]
