"""SIGTERM and Ctrl-C: finish the step, write a checkpoint, then leave."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator


class Interrupt:
    """`signal_number` is None until one of the signals came."""

    def __init__(self) -> None:
        self.signal_number: int | None = None

    def handle(self, number: int, frame: object) -> None:
        if self.signal_number is not None:  # asked twice: no more patience
            raise KeyboardInterrupt
        self.signal_number = number
        name = signal.Signals(number).name
        print(f"{name}: writing a checkpoint before leaving", file=sys.stderr, flush=True)

    @property
    def exit_code(self) -> int:
        """128 + the signal's number, as shells have it: 130 or 143.

        Where another process of the run got the signal, that of SIGTERM.
        """
        return 128 + (self.signal_number or signal.SIGTERM)


@contextlib.contextmanager
def interrupts() -> Iterator[Interrupt]:
    """Catch the signals while the block runs; outside the main thread nothing is caught."""
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, interrupt.handle) for number in numbers}
    try:
        yield interrupt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
