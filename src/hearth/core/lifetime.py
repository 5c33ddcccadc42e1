"""Processes that end with the process that started them, also when that one is killed by force."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import select
import signal
import sys
import threading
import time

_PR_SET_PDEATHSIG = 1


def end_with_parent(parent: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Let this process get signal `number` when process `parent` ends, whatever ended it.

    Linux signals by itself (note: when the *thread* that started us ends); elsewhere a thread
    watches for the change of parent.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
    else:
        threading.Thread(target=_watch, args=(parent, number), daemon=True).start()
    # The parent may have died before the request was made.
    if os.getppid() != parent:
        os._exit(1)


def end_pool_worker_with_parent() -> None:
    """Initializer of a process pool's workers: they end with the process that owns the pool.

    Ctrl-C reaches the workers too; they end without a traceback, and the parent reports it.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def terminate_after(process: int) -> None:
    """Send this process SIGTERM once `process`, any ancestor, has ended.

    SIGTERM rather than a kill: a training writes its checkpoint before it leaves.
    """

    def watch() -> None:
        _wait_for_end(process)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True, name="ancestor").start()


def _wait_for_end(process: int) -> None:
    """Wait for a process that is not a child of this one; Linux tells without being asked again."""
    try:
        descriptor = os.pidfd_open(process)
    except ProcessLookupError:
        return
    except (AttributeError, OSError):  # not Linux, or a kernel before 5.3
        import psutil

        with contextlib.suppress(psutil.NoSuchProcess):
            psutil.Process(process).wait()
        return
    try:
        select.select([descriptor], [], [])
    finally:
        os.close(descriptor)


def _watch(parent: int, number: signal.Signals) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), number)
