"""Ends a process that hangs: a collective that waits for a lost node would wait for ever."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import sys
import threading
import time
from collections.abc import Iterator

# sysexits.h: EX_TEMPFAIL, another attempt may do better. Whoever started the process runs it again.
EXIT_CODE = 75
_LOOK_SECONDS = 5.0


class Watchdog:
    """Waits for signs of life of one thread; without any it ends the process with `EXIT_CODE`.

    The thread that hangs can do nothing any more, and other threads (checkpoints, loading) may
    hang with it. So the process ends without cleaning up, as after a kill, which every file
    written here survives.
    """

    def __init__(self, what: str) -> None:
        """
        Args:
            what: begins the message, such as "run 'main'".
        """
        self._what = what
        self._lock = threading.Lock()
        self._doing, self._limit, self._waited = "", float("inf"), 0.0

    def expect(self, doing: str, seconds: float) -> None:
        """A sign of life: from now on `doing` must end, by the next call, within `seconds`."""
        with self._lock:
            self._doing, self._limit, self._waited = doing, seconds, 0.0

    def watch(self, stop: threading.Event) -> None:
        """Look until `stop` is set.

        Time counts from look to look, and each at most twice its length, so that a process that
        was stopped (Ctrl-Z, a suspended machine) has not hung.
        """
        last = time.monotonic()
        while not stop.wait(self._pause()):
            now = time.monotonic()
            with self._lock:
                self._waited += min(now - last, 2 * self._pause())
                hangs = self._waited > self._limit
            last = now
            if hangs:
                self._end()

    def _pause(self) -> float:
        return min(_LOOK_SECONDS, self._limit / 4)

    def _end(self) -> None:
        print(
            f"{self._what} hangs: {self._doing} did not end within {self._limit:g} s (a lost node, "
            "a collective that not all processes joined, or a file system that does not answer); "
            f"leaving with exit code {EXIT_CODE}, the same command goes on from the newest "
            "checkpoint. Where it hung:",
            file=sys.stderr, flush=True,
        )  # fmt: skip
        faulthandler.dump_traceback(sys.__stderr__ or 2, all_threads=True)
        os._exit(EXIT_CODE)


@contextlib.contextmanager
def watchdog(what: str) -> Iterator[Watchdog]:
    """A watchdog that looks while the block runs."""
    dog, stop = Watchdog(what), threading.Event()
    thread = threading.Thread(target=dog.watch, args=(stop,), name="watchdog", daemon=True)
    thread.start()
    try:
        yield dog
    finally:
        stop.set()
        thread.join()
