"""One writer per run: a lease file in the run's folder names the process that writes there."""

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

from hearth.core.errors import HearthError, TrainingError
from hearth.core.files import read_json, write_json

_HEARTBEAT_SECONDS = 20.0
# A writer on another machine cannot be looked at; it counts as dead after this silence.
_SILENCE_SECONDS = 180.0


@contextlib.contextmanager
def lease(folder: Path) -> Iterator[None]:
    """Hold the right to write into `folder`; a dead writer's lease is taken over.

    Raises:
        TrainingError: another process writes there; the message names it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "writer.json"
    with _exclusive(folder):
        holder = _holder(path)
        if holder is not None and _alive(holder, path):
            raise TrainingError(
                f"{folder} is being written by process {holder['pid']} on {holder['host']}; "
                "wait for it, stop it, or choose another run name"
            )
        write_json(path, _self())
    stop = threading.Event()
    thread = threading.Thread(target=_beat, args=(path, stop), daemon=True, name="lease")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def _exclusive(folder: Path) -> Iterator[None]:
    """Looking at the lease and taking it must be one step for processes of this machine."""
    with (folder / ".writer.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _self() -> dict[str, Any]:
    pid = os.getpid()
    return {
        "pid": pid,
        "host": socket.gethostname(),
        "created": psutil.Process(pid).create_time(),
    }


def _holder(path: Path) -> dict[str, Any] | None:
    try:
        holder = read_json(path)
    except HearthError:
        return None
    return holder if isinstance(holder, dict) and {"pid", "host"} <= set(holder) else None


def _alive(holder: dict[str, Any], path: Path) -> bool:
    if holder["host"] != socket.gethostname():
        return time.time() - path.stat().st_mtime < _SILENCE_SECONDS
    try:
        created = psutil.Process(int(holder["pid"])).create_time()
    except psutil.Error:
        return False
    # Process ids are used again after a reboot or a long time.
    return abs(created - float(holder.get("created", created))) < 1.0


def _beat(path: Path, stop: threading.Event) -> None:
    while not stop.wait(_HEARTBEAT_SECONDS):
        with contextlib.suppress(OSError):
            os.utime(path)
