"""What a private Slurm leaves behind when the tests that started it are killed by force."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import IO

import psutil

PREFIX = "hearth-slurm-"
_OWNER = "owner.lock"


def own(folder: Path) -> IO[str]:
    """Say that the cluster of `folder` lives, until this process ends or the file is closed."""
    handle = (folder / _OWNER).open("w")
    fcntl.flock(handle, fcntl.LOCK_EX)
    return handle


def processes_of(folder: Path) -> list[psutil.Process]:
    """Everything that was started with the configuration in `folder`, but this process."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and _belongs(process, folder):
                found.append(process)
    return found


def _belongs(process: psutil.Process, folder: Path) -> bool:
    if process.name() == "slurmstepd":  # its title overwrites its environment
        return any(Path(file.path).is_relative_to(folder) for file in process.open_files())
    return process.environ().get("SLURM_CONF") == str(folder / "slurm.conf")


def clear_dead_clusters() -> None:
    """End what clusters left whose tests were killed, and remove their folders."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError), (folder / _OWNER).open() as handle:
            if folder.stat().st_uid != os.getuid():
                continue
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # refused while its tests live
            for process in processes_of(folder):
                with contextlib.suppress(psutil.Error):
                    process.kill()
            shutil.rmtree(folder, ignore_errors=True)
