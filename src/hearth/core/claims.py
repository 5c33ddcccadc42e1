"""Claims: a file that names the one process which may do a piece of work, kept fresh while it does.

A claim of a process of this machine is looked at directly; one of another machine counts as dead
after a time without a sign of life. On file systems without shared locks two processes can still
take one claim at the same moment: results are therefore published without overwriting.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from hearth.core.errors import HearthError
from hearth.core.files import read_json, write_json

HEARTBEAT_SECONDS = 20.0
SILENCE_SECONDS = 180.0  # after which a claim of another machine counts as dead


def take(path: Path, *, succeed_own_job: bool = False) -> dict[str, Any] | None:
    """Claim `path`; a dead holder's claim is taken over.

    Args:
        path: the claim's file.
        succeed_own_job: a claim of the same Slurm job, which must come from before it was
            requeued, counts as dead at once.

    Returns:
        None when the claim is ours, otherwise its living holder (`pid`, `host`).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Looking and taking must be one step.
    with (path.parent / ".claims.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        holder = _holder(path)
        if holder is not None and _alive(holder, path, succeed_own_job):
            return holder
        write_json(path, _self())
    return None


def _self() -> dict[str, Any]:
    pid = os.getpid()
    return {
        "pid": pid,
        "host": socket.gethostname(),
        "created": psutil.Process(pid).create_time(),
        "job": os.environ.get("SLURM_JOB_ID"),
    }


def _holder(path: Path) -> dict[str, Any] | None:
    try:
        holder = read_json(path)
    except HearthError:
        return None
    return holder if isinstance(holder, dict) and {"pid", "host"} <= set(holder) else None


def _alive(holder: dict[str, Any], path: Path, succeed_own_job: bool) -> bool:
    if holder["host"] != socket.gethostname():
        job = os.environ.get("SLURM_JOB_ID")
        if succeed_own_job and job is not None and holder.get("job") == job:
            return False
        return time.time() - path.stat().st_mtime < SILENCE_SECONDS
    try:
        created = psutil.Process(int(holder["pid"])).create_time()
    except psutil.Error:
        return False
    # Process ids are used again after a reboot or a long time.
    return abs(created - float(holder.get("created", created))) < 1.0


class Heartbeat:
    """Keeps claims fresh from a thread of its own, so that long calls do not silence them."""

    def __init__(self) -> None:
        self._paths: set[Path] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True, name="claims")
        self._thread.start()

    def add(self, path: Path) -> None:
        """Keep the claim `path`, which is ours, fresh."""
        self._paths.add(path)

    def release(self, path: Path) -> None:
        """Give a claim back."""
        self._paths.discard(path)
        path.unlink(missing_ok=True)

    def close(self) -> None:
        """Give all claims back and end."""
        self._stop.set()
        self._thread.join()
        for path in list(self._paths):
            self.release(path)

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT_SECONDS):
            for path in list(self._paths):
                with contextlib.suppress(OSError):
                    os.utime(path)


@contextlib.contextmanager
def heartbeat() -> Iterator[Heartbeat]:
    """A heartbeat that ends, and gives its claims back, with the block."""
    beat = Heartbeat()
    try:
        yield beat
    finally:
        beat.close()
