"""Copy a process's output to a log file, its children's included."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def tee(path: Path | str) -> Iterator[None]:
    """Send file descriptors 1 and 2 to the terminal and to `path` (truncated first).

    Works at the level of descriptors, so that child processes and C libraries are caught too.
    A terminal is left alone where it is one: progress bars stay bars and the log gets plain
    lines from the commands that log.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    sys.stdout.flush()
    sys.stderr.flush()
    copier = subprocess.Popen(
        ["tee", "-a", str(path)], stdin=subprocess.PIPE, stdout=2, start_new_session=True
    )
    assert copier.stdin is not None
    saved = os.dup(1), os.dup(2)
    os.dup2(copier.stdin.fileno(), 1)
    os.dup2(copier.stdin.fileno(), 2)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(saved[0], 1)
        os.dup2(saved[1], 2)
        for descriptor in saved:
            os.close(descriptor)
        copier.stdin.close()
        copier.wait()
