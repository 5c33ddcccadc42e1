"""Several processes that train one run together, one a node: how they meet and how they agree.

What is read is read by all, what is written is written by the first; checkpoints are written by
all. Decisions that could differ (a signal reaches one process earlier) are made together.
"""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from hearth.core.addresses import own_address
from hearth.core.errors import DataError, TrainingError
from hearth.core.files import read_json, write_json

_LOOK_SECONDS = 0.5


def join(folder: Path, timeout_seconds: float) -> None:
    """Meet the other processes of this step of a Slurm job; alone it does nothing.

    The first process writes its address into a file in `folder`, which all nodes see: names of
    nodes need not resolve. Must come before anything that looks at the devices.

    Raises:
        TrainingError: the others did not come in time.
    """
    count = int(os.environ.get("SLURM_STEP_NUM_TASKS", "1"))
    if count == 1 or jax.distributed.is_initialized():
        return
    number = int(os.environ["SLURM_PROCID"])
    # A requeued job keeps its number, and its steps begin anew.
    names = ("SLURM_JOB_ID", "SLURM_RESTART_COUNT", "SLURM_STEP_ID")
    path = folder / ("meeting-" + "-".join(os.environ.get(name, "0") for name in names) + ".json")
    if number == 0:
        write_json(path, {"address": f"{own_address()}:{_free_port()}"})
    address = _address(path, timeout_seconds)
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    try:
        jax.distributed.initialize(
            address, count, number,
            initialization_timeout=max(1, round(timeout_seconds)),
            # Slurm's own detection would give each process a single device.
            cluster_detection_method="deactivate",
        )  # fmt: skip
    except RuntimeError as error:
        raise TrainingError(
            f"process {number} of {count} did not meet the others at {address} within "
            f"{timeout_seconds:g} s: {str(error).splitlines()[0]}"
        ) from error
    if number == 0:
        path.unlink(missing_ok=True)


def _address(path: Path, timeout_seconds: float) -> str:
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline:
        try:
            return str(read_json(path)["address"])
        except DataError:
            time.sleep(_LOOK_SECONDS)
    raise TrainingError(
        f"no process 0 wrote {path} within {timeout_seconds:g} s: is {path.parent} on a file "
        "system that all nodes share?"
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return probe.getsockname()[1]


def is_first() -> bool:
    """Whether this process writes what only one may write."""
    return jax.process_index() == 0


def any_of(flag: bool) -> bool:
    """Whether `flag` holds in any process; all must ask."""
    if jax.process_count() == 1:
        return flag
    return bool(np.any(multihost_utils.process_allgather(np.array(flag))))


def wait_for_all(what: str) -> None:
    """Return when every process has come here; `what` names the place."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(what)


def fetch(array: Any) -> np.ndarray:
    """A whole array, which may lie spread over the devices of all processes; all must ask."""
    if jax.process_count() == 1 or array.is_fully_replicated:
        return np.asarray(jax.device_get(array))
    return np.asarray(multihost_utils.process_allgather(array, tiled=True))
