"""Errors of clients on standard output, few enough that no client can fill a disk with them."""

from __future__ import annotations

import time

_LINES, _SECONDS = 100, 60.0


class ErrorLog:
    """Prints at most 100 lines a minute and says how many it left out."""

    def __init__(self) -> None:
        self._since, self._lines = time.monotonic(), 0

    def write(self, line: str) -> None:
        """Print one line unless there were too many of late."""
        if time.monotonic() - self._since >= _SECONDS:
            if self._lines > _LINES:
                print(f"{self._lines - _LINES} more errors were not printed", flush=True)
            self._since, self._lines = time.monotonic(), 0
        self._lines += 1
        if self._lines <= _LINES:
            # A client's own text stays on one line.
            print(line.encode("unicode_escape").decode("ascii"), flush=True)
