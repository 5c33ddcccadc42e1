"""The loop over steps: train, log, check, save, leave when asked."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax

from hearth.core.errors import TrainingError
from hearth.core.progress import progress
from hearth.training import processes
from hearth.training.checkpoint import Checkpoints
from hearth.training.interrupt import Interrupt
from hearth.training.job import Job
from hearth.training.measures import Speedometer, device_memory
from hearth.training.scalars import Scalars
from hearth.training.state import TrainState
from hearth.training.step import Metrics
from hearth.training.watchdog import Watchdog

_IN_FLIGHT = 2  # steps handed to the device ahead; more would only pile up batches there


@dataclass
class Trainer:
    """The loop, and what it must remember between steps.

    Attributes:
        job, checkpoints, interrupt, watchdog: of the run.
        scalars: where the losses are written; None in all processes but the first.
        seconds_before: the run's wall time in earlier processes.
        validate: losses on held-out episodes; None where the run looks at none.
        speedometer: made of the first batch.
    """

    job: Job
    checkpoints: Checkpoints
    scalars: Scalars | None
    interrupt: Interrupt
    watchdog: Watchdog
    seconds_before: float
    validate: Callable[[TrainState], dict[str, float]] | None = None
    speedometer: Callable[[Mapping[str, Any]], Speedometer] | None = None
    started: float = field(default_factory=time.monotonic)
    pending: list[tuple[int, Metrics]] = field(default_factory=list)
    _speed: Speedometer | None = field(default=None, init=False)

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
                    compiles = number == first
                    self._expect(f"the batch of step {number + 1}", compiles)
                    batch = next(batches)
                    self._expect(_name(number), compiles)
                    if compiles and self.speedometer is not None:
                        self._speed = self.speedometer(batch)
                    state, metrics = step(state, place(batch))
                    self._remember(number, metrics, compiles)
                    advance(note=self._after(number + 1, state))
        finally:
            self._expect("writing what is left", slow=True)
            close = getattr(batches, "close", None)
            if close is not None:
                close()
        return state

    def _expect(self, doing: str, slow: bool = False) -> None:
        run = self.job.run
        self.watchdog.expect(doing, run.start_timeout_seconds if slow else run.step_timeout_seconds)

    def _remember(self, number: int, metrics: Metrics, compiles: bool) -> None:
        self.pending.append((number, metrics))
        if len(self.pending) > _IN_FLIGHT:
            self._wait_for(*self.pending[-1 - _IN_FLIGHT], compiles)
        if self._speed is not None:
            self._speed.count()

    def _wait_for(self, number: int, metrics: Metrics, compiles: bool = False) -> None:
        self._expect(_name(number), compiles)
        jax.block_until_ready(metrics)

    def _after(self, done: int, state: TrainState) -> str:
        """Log, check and save where it is time for it; the note is for the progress bar."""
        run, note = self.job.run, ""
        last = done == run.steps
        validates = self.validate is not None and (done % run.validation_every == 0 or last)
        if done % run.log_every == 0 or validates or last:
            note = self._log(done, state if validates else None)
        # A signal need not reach all processes between the same two steps.
        leaving = processes.any_of(self.interrupt.signal_number is not None)
        if done % run.checkpoint_every == 0 or last or leaving:
            self._check()
            self._expect(f"writing checkpoint {done}", slow=leaving)
            self.checkpoints.save(state, self.seconds)
        if leaving:
            self.checkpoints.wait()
            print(f"checkpoint {done} is written; the same command goes on", file=sys.stderr)
            raise SystemExit(self.interrupt.exit_code)
        return note

    def _log(self, done: int, validated: TrainState | None) -> str:
        """Write the means since the last line, or since this process began."""
        values = self._check()
        self.pending = []
        mean = {key: sum(item[key] for item in values) / len(values) for key in values[0]}
        mean["seconds"] = self.seconds
        measured = device_memory()
        if self._speed is not None:
            measured |= self._speed.read()
        note = f"loss {mean['total']:.4f}"
        if validated is not None and self.validate is not None:
            self._expect(f"validation after step {done}", slow=True)
            mean |= self.validate(validated)
            note += f", held out {mean['validation/total']:.4f}"
        if self.scalars is not None:
            self.scalars.write(done, mean, measured)
        return note

    def _check(self) -> list[dict[str, float]]:
        """Fetch the pending metrics; metrics wait on the device so that steps can overlap.

        Raises:
            TrainingError: a loss exploded; nothing is saved after that step.
        """
        for number, metrics in self.pending[-1 - _IN_FLIGHT :]:
            self._wait_for(number, metrics)
        fetched = jax.device_get(self.pending)
        values = [{key: float(value) for key, value in item.items()} for _, item in fetched]
        for (number, _), item in zip(fetched, values, strict=True):
            for key in ("total", "gradient_norm"):
                too_large = key == "total" and item[key] > self.job.run.maximum_loss
                if not math.isfinite(item[key]) or too_large:
                    saved = self.checkpoints.steps
                    limit = f" (maximum_loss {self.job.run.maximum_loss:g})" * too_large
                    raise TrainingError(
                        f"run '{self.job.name}' diverged at {_name(number)}: "
                        f"{key} = {item[key]}{limit}, learning rate {item['learning_rate']:.3g}. "
                        f"The last good checkpoint is {saved[-1] if saved else 'none'}; a smaller "
                        "learning_rate or gradient_clip in a run of another name may help"
                    )
        self.pending = fetched
        return values


def _name(number: int) -> str:
    """How messages name a step: checkpoints count from 1, batches from 0."""
    return f"step {number + 1} (batch {number})"
