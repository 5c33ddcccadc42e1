"""Temporary folders that do not pile up: what killed processes left, later ones remove.

A folder is locked by its owner for as long as that lives. The kernel frees the lock however the
owner ends, and the next process of the same user that makes such a folder on the node clears it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

PREFIX = "hearth-"
_OWNER = ".owner.lock"


class TemporaryFolder:
    """A folder of this process on this node, removed by `remove` or at the end of a with block.

    Args:
        purpose: a word of its name.

    Attributes:
        path: the folder.
    """

    def __init__(self, purpose: str) -> None:
        prefix = f"{PREFIX}{purpose}-"
        _clear(Path(tempfile.gettempdir()), prefix)
        self.path = Path(tempfile.mkdtemp(prefix=prefix))
        self._lock = (self.path / f"{_OWNER}.new").open("w")
        # A file system without locks: then nobody can tell that this folder is left, and it stays.
        with contextlib.suppress(OSError):
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Under this name it is locked from the start: others clear what they can lock.
            Path(self._lock.name).rename(self.path / _OWNER)

    def remove(self) -> None:
        """Remove the folder and what is in it."""
        self._lock.close()
        shutil.rmtree(self.path, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.remove()


def _clear(parent: Path, prefix: str) -> None:
    """Remove this user's folders whose owner has ended."""
    for folder in parent.glob(f"{prefix}*"):
        with contextlib.suppress(OSError):
            if folder.lstat().st_uid != os.getuid():
                continue
            with (folder / _OWNER).open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # refused while its owner lives
                shutil.rmtree(folder, ignore_errors=True)
