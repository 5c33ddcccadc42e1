"""Training of one run: from prepared episodes to a policy bundle, resumed where it stopped."""

from __future__ import annotations

import math
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp

from hearth.benchmark.benchmark import Benchmark, load_benchmark
from hearth.core import seeds
from hearth.core.errors import BundleError, HearthError, TrainingError
from hearth.core.files import hash_json, read_json, write_json
from hearth.core.progress import progress
from hearth.core.results import Results
from hearth.core.selection import select_tasks
from hearth.core.settings import RunSettings, Settings
from hearth.core.statistics import Statistics
from hearth.data.loader import Loader
from hearth.model import presets
from hearth.policy import bundle
from hearth.policy.network import NetworkDefinition
from hearth.training.checkpoint import Checkpoints
from hearth.training.fingerprint import (
    differences,
    fingerprint,
    refuse_change,
    remember,
    started_with,
)
from hearth.training.interrupt import Interrupt, interrupts
from hearth.training.lease import lease
from hearth.training.scalars import Scalars, read_lines
from hearth.training.sharding import make_mesh, replicate, split_batch
from hearth.training.state import TrainState, initial_state
from hearth.training.step import Metrics, make_step

# Normalised data gives an untrained network a loss of about 2; what is this far off never returns.
_EXPLODED = 1e3

_IN_FLIGHT = 2  # steps handed to the device ahead; more would only pile up batches there

Batches = Callable[[int], Iterator[dict[str, Any]]]


@dataclass(frozen=True)
class Job:
    """What one run needs.

    Attributes:
        settings, name, results, benchmark, tasks, statistics: of the run.
        batches: batches from a step on, without end.
    """

    settings: Settings
    name: str
    results: Results
    benchmark: Benchmark
    tasks: tuple[str, ...]
    statistics: Statistics
    batches: Batches

    @property
    def run(self) -> RunSettings:
        return self.settings.run(self.name)

    def seed(self, purpose: str) -> int:
        """The run's seed for one purpose."""
        return seeds.integer(self.settings.seed, f"training {purpose}", self.run.seed)


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
    settings.run(run)
    results = Results.of(settings)
    benchmark = load_benchmark(settings.benchmark)
    tasks = select_tasks(settings, benchmark.task_names)
    statistics = Statistics.load(results.statistics)
    statistics.check(benchmark.robot.name, tasks, settings.statistics.horizon)
    job = Job(settings, run, results, benchmark, tasks, statistics, _loader(
        settings, run, results, benchmark, tasks, statistics))  # fmt: skip
    fit(job, discard=discard)


def _loader(
    settings: Settings,
    run: str,
    results: Results,
    benchmark: Benchmark,
    tasks: tuple[str, ...],
    statistics: Statistics,
) -> Batches:
    chosen = settings.run(run)
    seed = seeds.integer(settings.seed, "training data", chosen.seed)

    def batches(start: int) -> Iterator[dict[str, Any]]:
        files = [results.episodes(task) for task in tasks]
        horizon = settings.statistics.horizon
        return iter(Loader(files, statistics, benchmark, horizon, chosen.batch_size, seed, start))

    return batches


def fit(job: Job, *, discard: bool = False) -> None:
    """`train` with its inputs given."""
    folder = job.results.run(job.name)
    with lease(folder):
        values = fingerprint(job.settings, job.name, job.tasks, job.statistics)
        _make_room(job, values, discard)
        if _is_finished(job, values):
            print(f"run '{job.name}' is finished: {folder}", file=sys.stderr)
            return
        remember(folder, values)
        with interrupts() as interrupt:
            _fit(job, values, interrupt)


def _make_room(job: Job, values: dict[str, Any], discard: bool) -> None:
    """Drop what belongs to other settings, or refuse to."""
    folder = job.results.run(job.name)
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
        (folder / "metrics.jsonl").unlink(missing_ok=True)
        (folder / "fingerprint.json").unlink(missing_ok=True)


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
            job.settings.statistics.horizon,
        )
    )  # fmt: skip
    state = replicate(initial_state(definition, job.run, job.seed("weights")), mesh)
    seconds = 0.0
    with Checkpoints(job.results.checkpoints(job.name)) as checkpoints:
        found = checkpoints.restore_newest(state)
        if found is not None:
            state, seconds = found
            print(f"run '{job.name}' goes on from step {int(state.step)}", file=sys.stderr)
        with Scalars(
            job.results.tensorboard(job.name), _metrics_path(job), int(state.step)
        ) as scalars:
            trainer = _Trainer(job, checkpoints, scalars, interrupt, seconds)
            if int(state.step) < job.run.steps:
                cholesky = job.statistics.cholesky(job.settings.model.correlation_shrinkage)
                step = make_step(
                    definition, job.run, replicate(jnp.asarray(cholesky), mesh), job.seed("noise")
                )
                state = trainer.run(state, step, lambda batch: split_batch(batch, mesh))
    _finish(job, definition, state, values, trainer.seconds)


def _metrics_path(job: Job) -> Any:
    return job.results.run(job.name) / "metrics.jsonl"


@dataclass
class _Trainer:
    """The loop over steps, and what it must remember between them."""

    job: Job
    checkpoints: Checkpoints
    scalars: Scalars
    interrupt: Interrupt
    seconds_before: float
    started: float = field(default_factory=time.monotonic)
    pending: list[tuple[int, Metrics]] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Wall seconds of the run, over all its processes."""
        return self.seconds_before + time.monotonic() - self.started

    def run(
        self,
        state: TrainState,
        step: Callable[[TrainState, Any], tuple[TrainState, Metrics]],
        place: Callable[[Any], Any],
    ) -> TrainState:
        """Train to the last step; `place` puts a batch on the devices."""
        first, last = int(state.step), self.job.run.steps
        batches = self.job.batches(first)
        try:
            with progress(f"training {self.job.name}", last - first) as advance:
                for number in range(first, last):
                    state, metrics = step(state, place(next(batches)))
                    self._remember(number, metrics)
                    advance(note=self._after(number + 1, state))
        finally:
            close = getattr(batches, "close", None)
            if close is not None:
                close()
        return state

    def _remember(self, number: int, metrics: Metrics) -> None:
        self.pending.append((number, metrics))
        if len(self.pending) > _IN_FLIGHT:
            jax.block_until_ready(self.pending[-1 - _IN_FLIGHT][1])

    def _after(self, done: int, state: TrainState) -> str:
        """Log, check and save where it is time for it; the note is for the progress bar."""
        run, note = self.job.run, ""
        if done % run.log_every == 0 or done == run.steps:
            note = self._log(done)
        leaving = self.interrupt.signal_number is not None
        if done % run.checkpoint_every == 0 or done == run.steps or leaving:
            self._check()
            self.checkpoints.save(state, self.seconds)
        if leaving:
            self.checkpoints.wait()
            print(f"checkpoint {done} is written; the same command goes on", file=sys.stderr)
            raise SystemExit(self.interrupt.exit_code)
        return note

    def _log(self, done: int) -> str:
        """Write the means since the last line, or since this process began."""
        values = self._check()
        self.pending = []
        mean = {key: sum(item[key] for item in values) / len(values) for key in values[0]}
        mean["seconds"] = self.seconds
        self.scalars.write(done, mean)
        return f"loss {mean['total']:.4f}"

    def _check(self) -> list[dict[str, float]]:
        """Fetch the pending metrics; metrics wait on the device so that steps can overlap.

        Raises:
            TrainingError: a loss exploded; nothing is saved after that step.
        """
        fetched = jax.device_get(self.pending)
        values = [{key: float(value) for key, value in item.items()} for _, item in fetched]
        for (number, _), item in zip(fetched, values, strict=True):
            for key in ("total", "gradient_norm"):
                if not math.isfinite(item[key]) or (key == "total" and item[key] > _EXPLODED):
                    saved = self.checkpoints.steps
                    raise TrainingError(
                        f"run '{self.job.name}' diverged at step {number + 1} (batch {number}): "
                        f"{key} = {item[key]}, learning rate {item['learning_rate']:.3g}. The "
                        f"last good checkpoint is {saved[-1] if saved else 'none'}; a smaller "
                        "learning_rate or gradient_clip in a run of another name may help"
                    )
        self.pending = fetched
        return values


def _finish(
    job: Job,
    definition: NetworkDefinition,
    state: TrainState,
    values: dict[str, Any],
    seconds: float,
) -> None:
    """Write the bundle of the averaged weights, then the marker."""
    lines = read_lines(_metrics_path(job))
    losses = {key: lines[-1][key] for key in lines[-1] if key != "seconds"} if lines else {}
    provenance = {
        "experiment": job.settings.experiment,
        "run": job.name,
        "steps": int(state.step),
        "losses": losses,
        "fingerprint": values,
        "runtime": job.settings.runtime.model_dump(mode="json"),
    }
    bundle_hash = bundle.write(
        job.results.bundle(job.name),
        config=definition.config,
        model=job.settings.model,
        tasks=job.tasks,
        benchmark=job.benchmark,
        statistics=job.statistics,
        parameters=jax.device_get(state.average),
        provenance=provenance,
    )
    marker = {
        "run": job.name,
        "steps": int(state.step),
        "losses": losses,
        "seconds": round(seconds, 3),
        "parameters": sum(math.prod(leaf.shape) for leaf in definition.shapes.values()),
        "fingerprint_hash": hash_json(values),
        "statistics_hash": job.statistics.hash,
        "bundle_hash": bundle_hash,
    }
    write_json(job.results.trained(job.name), marker)
