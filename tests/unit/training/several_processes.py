"""One process of a small training run, started by test_processes.py with a folder.

Where the environment names several tasks of a Slurm step, the processes meet and share the work.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ["JAX_PLATFORMS"] = "cpu"

import jax

from hearth.core.results import Results
from hearth.training import processes, sharding
from hearth.training.loop import fit

from .conftest import make_batch, make_job, make_settings

BATCH = 4
sharding.SMALLEST_SHARDED = 1024  # so that the tiny network's arrays are large enough


def batches(start: int) -> Iterator[dict[str, Any]]:
    """This process's slice of every batch, slowly enough that a signal comes in between."""
    share, step = BATCH // jax.process_count(), start
    mine = slice(jax.process_index() * share, (jax.process_index() + 1) * share)
    while True:
        time.sleep(0.5)
        yield jax.tree.map(lambda array: array[mine], make_batch(step, BATCH))
        step += 1


def main(folder: Path) -> None:
    settings = make_settings(folder, devices=2, batch_size=BATCH)
    processes.join(Results.of(settings).run("main"), 120.0)
    fit(make_job(settings, batches))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
