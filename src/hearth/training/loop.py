"""Training of one run: from prepared episodes to a policy bundle, resumed where it stopped."""

from __future__ import annotations

import contextlib
import math
import shutil
import sys
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from hearth.core.changes import differences
from hearth.core.errors import BundleError, HearthError
from hearth.core.files import hash_json, read_json, write_json
from hearth.core.results import Results
from hearth.core.settings import Settings
from hearth.data.tokenizer import tokenizer_for
from hearth.model import presets
from hearth.policy import bundle
from hearth.policy.network import NetworkDefinition, Parameters
from hearth.training import processes
from hearth.training.checkpoint import Checkpoints
from hearth.training.fingerprint import (
    fingerprint,
    refuse_change,
    remember,
    started_with,
)
from hearth.training.imported import (
    imported_from,
    imported_state,
    report_path,
    source_hash,
    source_of,
)
from hearth.training.interrupt import Interrupt, interrupts
from hearth.training.job import Job, make_job
from hearth.training.lease import lease
from hearth.training.measures import Speedometer, step_operations
from hearth.training.memory import keep_freed_memory
from hearth.training.scalars import Scalars, read_lines
from hearth.training.sharding import make_mesh, split_batch
from hearth.training.state import TrainState, initial_state
from hearth.training.step import make_step
from hearth.training.trainer import Trainer
from hearth.training.validation import Validation
from hearth.training.watchdog import watchdog


def train(settings: Settings, run: str, *, discard: bool = False) -> None:
    """Train `run` and write its bundle and its marker; returns at once if that is done.

    Args:
        settings: the experiment.
        run: a name below ``runs``.
        discard: drop what the run has, finished or not, and start afresh.

    Raises:
        TrainingError: another process writes the run; its settings or data changed while
            `protect` holds; the loss exploded; or the machine lacks devices.
        StatisticsError: statistics are missing or do not fit.
        DataError: prepared episodes are missing.
        SystemExit: 130 or 143 after Ctrl-C or SIGTERM, with a checkpoint written.
    """
    keep_freed_memory()
    processes.join(Results.of(settings).run(run), settings.run(run).start_timeout_seconds)
    fit(make_job(settings, run), discard=discard)


def fit(job: Job, *, discard: bool = False) -> None:
    """`train` with its inputs given."""
    folder = job.folder
    with lease(folder) if processes.is_first() else contextlib.nullcontext():
        values = fingerprint(
            job.settings, job.name, job.benchmark, job.tasks, job.statistics, source_hash(job)
        )
        finished = False
        if processes.is_first():
            _make_room(job, values, discard)
            finished = _is_finished(job, values)
            if not finished:
                remember(folder, values)
        if processes.any_of(finished):
            print(f"run '{job.name}' is finished: {folder}", file=sys.stderr)
            return
        with interrupts() as interrupt:
            _fit(job, values, interrupt)


def _make_room(job: Job, values: dict[str, Any], discard: bool) -> None:
    """Drop what belongs to other settings, or refuse to."""
    folder = job.folder
    before = started_with(folder)
    changes = [] if before is None else differences(before, values)
    if changes and job.settings.protect and not discard:
        refuse_change(job.name, changes)
    if changes or discard:
        reason = "discarded as asked" if discard else "changed: " + "; ".join(changes)
        print(f"run '{job.name}' starts afresh ({reason})", file=sys.stderr)
        job.results.trained(job.name).unlink(missing_ok=True)
        for part in (
            job.results.checkpoints(job.name),
            job.results.tensorboard(job.name),
            job.results.bundle(job.name),
        ):
            shutil.rmtree(part, ignore_errors=True)
        job.metrics.unlink(missing_ok=True)
        (folder / "fingerprint.json").unlink(missing_ok=True)
        report_path(job).unlink(missing_ok=True)


def _is_finished(job: Job, values: dict[str, Any]) -> bool:
    marker = job.results.trained(job.name)
    try:
        record = read_json(marker)
        return (
            record["fingerprint_hash"] == hash_json(values)
            and bundle.content_hash(job.results.bundle(job.name)) == record["bundle_hash"]
        )
    except (BundleError, HearthError, KeyError, TypeError):
        return False


def _fit(job: Job, values: dict[str, Any], interrupt: Interrupt) -> None:
    mesh = make_mesh(job.run.devices)
    definition = NetworkDefinition(
        presets.config(
            job.settings.model, job.benchmark, job.settings.data.image_size,
            job.settings.statistics.horizon, job.statistics,
        )
    )  # fmt: skip
    seconds = 0.0
    with (
        watchdog(f"run '{job.name}'") as dog,
        Checkpoints(job.results.checkpoints(job.name), job.run.checkpoints_kept) as checkpoints,
    ):
        dog.expect("starting", job.run.start_timeout_seconds)
        if source_of(job) is not None and not checkpoints.steps:
            state = imported_state(job, definition, mesh)
        else:
            state = initial_state(definition, job.run, job.seed("weights"), mesh)
        found = checkpoints.restore_newest(state)
        if found is not None:
            state, seconds = found
            print(f"run '{job.name}' goes on from step {int(state.step)}", file=sys.stderr)
        with _scalars(job, int(state.step)) as scalars:
            trainer = Trainer(job, checkpoints, scalars, interrupt, dog, seconds)
            if int(state.step) < job.run.steps:
                state = _run(trainer, state, definition, mesh)
    _finish(job, definition, state, values, trainer.seconds)


def _scalars(job: Job, first_step: int) -> contextlib.AbstractContextManager[Scalars | None]:
    """Where the first process writes; the others write nothing."""
    if not processes.is_first():
        return contextlib.nullcontext()
    return Scalars(job.results.tensorboard(job.name), job.metrics, first_step)


def _run(
    trainer: Trainer, state: TrainState, definition: NetworkDefinition, mesh: Mesh
) -> TrainState:
    """The steps, with what is measured beside them."""
    job = trainer.job
    cholesky = jnp.asarray(job.statistics.cholesky(job.settings.model.correlation_shrinkage))

    def place(batch: Any) -> Any:
        return split_batch(batch, mesh)

    def speedometer(batch: Mapping[str, Any]) -> Speedometer:
        if job.run.peak_teraflops is None:
            return Speedometer(job.run.batch_size)
        needed = step_operations(definition, job.run, batch, mesh)
        return Speedometer(job.run.batch_size, needed, 1e12 * job.run.peak_teraflops * mesh.size)

    if job.run.validation_every:
        trainer.validate = Validation(job, definition, cholesky, mesh, place).losses
    trainer.speedometer = speedometer
    step = make_step(definition, job.run, cholesky, job.seed("noise"), mesh)
    return trainer.run(state, step, place)


def _finish(
    job: Job,
    definition: NetworkDefinition,
    state: TrainState,
    values: dict[str, Any],
    seconds: float,
) -> None:
    """Write the bundle of the averaged weights, then the marker."""
    parameters = _portable(state.acting)
    if processes.is_first():
        _write_results(job, definition, parameters, int(state.step), values, seconds)
    # Processes that leave early would be taken for lost.
    processes.wait_for_all("the end of the run")


def _write_results(
    job: Job,
    definition: NetworkDefinition,
    parameters: dict[str, np.ndarray],
    steps: int,
    values: dict[str, Any],
    seconds: float,
) -> None:
    lines = read_lines(job.metrics)
    losses = {key: lines[-1][key] for key in lines[-1] if key != "seconds"} if lines else {}
    provenance = {
        "experiment": job.settings.experiment,
        "run": job.name,
        "steps": steps,
        "losses": losses,
        "fingerprint": values,
        "initial_weights": imported_from(job),
        "runtime": job.settings.runtime.model_dump(mode="json"),
    }
    bundle_hash = bundle.write(
        job.results.bundle(job.name),
        config=definition.config,
        model=job.settings.model,
        tasks=job.tasks,
        benchmark=job.benchmark,
        statistics=job.statistics,
        parameters=parameters,
        provenance=provenance,
        tokenizer=tokenizer_for(job.settings, job.name, job.statistics),
    )
    marker = {
        "run": job.name,
        "steps": steps,
        "losses": losses,
        "seconds": round(seconds, 3),
        "parameters": sum(math.prod(leaf.shape) for leaf in definition.shapes.values()),
        "fingerprint_hash": hash_json(values),
        "statistics_hash": job.statistics.hash,
        "bundle_hash": bundle_hash,
    }
    write_json(job.results.trained(job.name), marker)


def _portable(parameters: Parameters) -> dict[str, np.ndarray]:
    """Whole arrays that every reader of npz files knows: bfloat16 becomes float32."""
    fetched = {name: processes.fetch(array) for name, array in parameters.items()}
    return {
        name: array.astype(np.float32) if array.dtype == jnp.bfloat16 else array
        for name, array in fetched.items()
    }
