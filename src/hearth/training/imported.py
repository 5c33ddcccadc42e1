"""Starting a run from weights of another run, of Pi0.5, or of the winning system."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from jax.sharding import Mesh

from hearth.core.errors import DataError, TrainingError
from hearth.core.files import read_json, write_json
from hearth.policy.network import NetworkDefinition
from hearth.policy.weights.importing import complete, import_parameters, named_parameters
from hearth.training.branching import newest_of, read_acting
from hearth.training.job import Job
from hearth.training.state import TrainState, state_from


def report_path(job: Job) -> Path:
    """Where a run that began from other weights keeps what it took from them."""
    return job.folder / "initial_weights.json"


def source_of(job: Job) -> Path | None:
    """The folder whose weights the run starts from; None for a fresh start."""
    if job.run.initialise_from is not None:
        return job.results.bundle(job.run.initialise_from)
    return None if job.run.initial_weights is None else Path(job.run.initial_weights)


def source_hash(job: Job) -> str | None:
    """The hash of the policy that the run starts from, if that is a run of the experiment.

    It belongs to what determines the run's weights: another first phase makes another second one.

    Raises:
        TrainingError: that run has no finished policy.
    """
    if job.run.initialise_from is None:
        return None
    path = job.results.bundle(job.run.initialise_from)
    try:
        return str(read_json(path / "provenance.json")["hash"])
    except (DataError, KeyError) as error:
        raise TrainingError(
            f"run '{job.name}' starts from run '{job.run.initialise_from}', which has no finished "
            f"policy at {path}; train it first: hearth train --run {job.run.initialise_from}"
        ) from error


def imported_state(job: Job, definition: NetworkDefinition, mesh: Mesh) -> TrainState:
    """Step 0 with the weights that the run starts from and a fresh optimizer.

    Of another run these are the averaged weights, its policy. What the source lacks begins as it
    would without it. What was read is printed and kept beside the run, for its bundle's provenance.

    Raises:
        TrainingError: the run names no such weights.
        WeightsError, BundleError: they cannot be read or do not fit the network.
    """
    source = source_of(job)
    if source is None:
        raise TrainingError(f"run '{job.name}' has neither initialise_from nor initial_weights")
    folder = newest_of(source)
    acting = read_acting(folder)
    found, report = (
        import_parameters(folder, definition)
        if acting is None
        else named_parameters(acting[0], definition, str(folder), "checkpoint", acting[1])
    )
    parameters, report = complete(found, report, definition, job.seed("weights"))
    print(f"run '{job.name}' starts from {report.text()}", file=sys.stderr)
    write_json(report_path(job), report.as_dict())
    return state_from(parameters, definition, job.run, mesh)


def imported_from(job: Job) -> dict[str, Any] | None:
    """What the run took from other weights when it began; None for a fresh start."""
    path = report_path(job)
    return read_json(path) if path.is_file() else None
