"""Progress of long work: a rich bar on a terminal, plain lines in a log."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

Advance = Callable[..., None]


@contextlib.contextmanager
def progress(description: str, total: int, *, every_seconds: float = 10.0) -> Iterator[Advance]:
    """Yield ``advance(count=1, note="")``.

    Args:
        description: what is counted, e.g. "training main".
        total: the number of units.
        every_seconds: the least time between two plain lines when standard error is no terminal.
    """
    if sys.stderr.isatty():
        with _bar(description, total) as advance:
            yield advance
    else:
        yield _Lines(description, total, every_seconds).advance


@contextlib.contextmanager
def _bar(description: str, total: int) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(description, total=total, note="")

        def advance(count: int = 1, note: str = "") -> None:
            bar.advance(task, count)
            if note:
                bar.update(task, note=note)

        yield advance


class _Lines:
    def __init__(self, description: str, total: int, every_seconds: float) -> None:
        self.description, self.total, self.every_seconds = description, total, every_seconds
        self.done = 0
        self.started = self.printed = time.monotonic()

    def advance(self, count: int = 1, note: str = "") -> None:
        self.done += count
        now = time.monotonic()
        if now - self.printed < self.every_seconds and self.done < self.total:
            return
        self.printed = now
        elapsed = now - self.started
        left = elapsed / max(self.done, 1) * (self.total - self.done)
        text = f"{self.description}: {self.done}/{self.total} after {elapsed:.0f} s"
        text += f", about {left:.0f} s left" if self.done < self.total else ""
        print(f"{text}{', ' + note if note else ''}", file=sys.stderr, flush=True)
