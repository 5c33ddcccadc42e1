"""One writer per run: a lease file in the run's folder names the process that writes there."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from hearth.core import claims
from hearth.core.errors import TrainingError

_LOOK_SECONDS = 2.0
# A trainer whose Snakemake was killed writes a checkpoint before it leaves: the next one waits.
_LEAVING_SECONDS = 60.0


@contextlib.contextmanager
def lease(folder: Path) -> Iterator[None]:
    """Hold the right to write into `folder`; a dead writer's lease is taken over.

    A Slurm job that was requeued after its node was lost finds its predecessor's lease, which
    cannot be looked at and may live on for a while: it waits until that one has fallen silent.

    Raises:
        TrainingError: another process writes there; the message names it.
    """
    path = folder / "writer.json"
    patience = 2 * claims.SILENCE_SECONDS if "SLURM_JOB_ID" in os.environ else _LEAVING_SECONDS
    deadline, told = time.monotonic() + patience, False
    while (holder := claims.take(path)) is not None:
        if time.monotonic() >= deadline:
            raise TrainingError(
                f"{folder} is being written by process {holder['pid']} on {holder['host']}; "
                "wait for it, stop it, or choose another run name"
            )
        if not told:
            print(
                f"{folder} is being written by process {holder['pid']} on {holder['host']}; "
                f"waiting up to {patience:g} s for it to leave",
                file=sys.stderr, flush=True,
            )  # fmt: skip
            told = True
        time.sleep(_LOOK_SECONDS)
    with claims.heartbeat() as beat:
        beat.add(path)
        yield
