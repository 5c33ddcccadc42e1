"""One process at a time: a lock file that the kernel frees when its holder ends, however it ends.

A Snakemake that was killed leaves jobs behind which go on, and the next one starts the same work
again: the second process waits for the first and then finds the work done.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path

from hearth.core.errors import StorageError

LOOK_SECONDS = 1.0
REPEAT_SECONDS = 600.0  # between two lines that say that it still waits


def print_line(text: str) -> None:
    """Say it where errors are said."""
    print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def alone(path: Path, doing: str, say: Callable[[str], None] = print_line) -> Iterator[None]:
    """Hold the lock `path`; while another process holds it, say who does and wait.

    The wait has no end of its own: a job ends at its time limit, a person presses Ctrl-C.

    Args:
        path: the lock's file. It stays: whoever removed it would let two in.
        doing: what the lock is for, such as "preparing turning_on_radio".
        say: takes the lines about waiting.

    Raises:
        StorageError: the folder cannot be written, or its file system has no locks.
    """
    with _opened(path) as handle:
        told = -REPEAT_SECONDS
        while not _taken(handle, path):
            if time.monotonic() - told >= REPEAT_SECONDS:
                say(f"{_holder(path)} is {doing} already; waiting for it to end")
                told = time.monotonic()
            time.sleep(LOOK_SECONDS)
        with contextlib.suppress(OSError):  # a full disk: others wait without a name
            handle.truncate(0)
            handle.write(_self().encode())
        yield


def _opened(path: Path) -> FileIO:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not emptied by those who wait; writable, because NFS locks nothing else.
        return path.open("ab", buffering=0)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error


def _taken(handle: FileIO, path: Path) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise StorageError(
            f"cannot lock {path}: {error.strerror or error}; its file system must be mounted with "
            "locks (of Lustre: -o flock)"
        ) from error
    return True


def _self() -> str:
    job = os.environ.get("SLURM_JOB_ID")
    return f"process {os.getpid()} on {socket.gethostname()}" + f" (Slurm job {job})" * bool(job)


def _holder(path: Path) -> str:
    with contextlib.suppress(OSError):
        if text := path.read_text(encoding="utf-8").strip():
            return text
    return "another process"
