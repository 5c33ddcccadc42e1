"""Jobs of Snakemake's Slurm executor whose Snakemake was killed: nobody waits for them any more.

One that still queues would begin when all is done: its own Snakemake deletes the rule's finished
outputs and makes them anew. What they have done so far is kept by the commands that they run.
"""

from __future__ import annotations

import shutil
import time

from hearth.core.errors import LaunchError
from hearth.core.settings import Settings
from hearth.launch.names import experiment_key
from hearth.launch.queue import QueuedJob, command, squeue

_END_SECONDS = 180.0  # Slurm leaves a job 30 s between SIGTERM and SIGKILL, sites more
_LOOK_SECONDS = 1.0


def cancel_leftovers(settings: Settings) -> list[QueuedJob]:
    """Cancel the executor's jobs of this experiment and return when they have ended.

    The launcher's jobs stay: the next launcher adopts them.

    Returns:
        The jobs that were cancelled; none on a machine without Slurm.

    Raises:
        LaunchError: the cluster does not answer, or a job does not end.
    """
    if shutil.which("squeue") is None:
        return []
    found = _leftovers(settings)
    if not found:
        return []
    ids = [job.id for job in found]
    command(["scancel", *ids])
    deadline = time.monotonic() + _END_SECONDS
    while left := sorted({job.id for job in _leftovers(settings)} & set(ids)):
        if time.monotonic() > deadline:
            raise LaunchError(
                f"jobs {', '.join(left)} were cancelled and have not ended in {_END_SECONDS:g} s: "
                "see squeue, and try again when they are gone"
            )
        time.sleep(_LOOK_SECONDS)
    return found


def _leftovers(settings: Settings) -> list[QueuedJob]:
    key = experiment_key(settings)
    return [job for job in squeue() if job.key == key and not job.name.startswith(key)]
