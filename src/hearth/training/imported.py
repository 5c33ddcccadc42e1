"""Starting a run from weights of another run, of Pi0.5, or of the winning system."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from jax.sharding import Mesh

from hearth.core.errors import TrainingError
from hearth.core.files import read_json, write_json
from hearth.policy.network import NetworkDefinition
from hearth.policy.weights.importing import initial_parameters
from hearth.training.job import Job
from hearth.training.state import TrainState, state_from


def report_path(job: Job) -> Path:
    """Where a run that began from other weights keeps what it took from them."""
    return job.folder / "initial_weights.json"


def imported_state(job: Job, definition: NetworkDefinition, mesh: Mesh) -> TrainState:
    """Step 0 with the run's `initial_weights`; what they lack begins as it would without them.

    What was read is printed and kept beside the run, for its bundle's provenance.

    Raises:
        TrainingError: the run names no initial weights.
        WeightsError, BundleError: they cannot be read or do not fit the network.
    """
    if job.run.initial_weights is None:
        raise TrainingError(f"run '{job.name}' has no initial_weights")
    parameters, report = initial_parameters(
        job.run.initial_weights, definition, job.seed("weights")
    )
    print(f"run '{job.name}' starts from {report.text()}", file=sys.stderr)
    write_json(report_path(job), report.as_dict())
    return state_from(parameters, definition, job.run, mesh)


def imported_from(job: Job) -> dict[str, Any] | None:
    """What the run took from other weights when it began; None for a fresh start."""
    path = report_path(job)
    return read_json(path) if path.is_file() else None
