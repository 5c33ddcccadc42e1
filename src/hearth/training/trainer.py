"""The loop over steps: train, log, check, save, leave when asked."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax

from hearth.core.errors import TrainingError
from hearth.core.progress import progress
from hearth.training.checkpoint import Checkpoints
from hearth.training.interrupt import Interrupt
from hearth.training.job import Job
from hearth.training.scalars import Scalars
from hearth.training.state import TrainState
from hearth.training.step import Metrics

# Normalised data gives an untrained network a loss of about 2; what is this far off never returns.
_EXPLODED = 1e3
_IN_FLIGHT = 2  # steps handed to the device ahead; more would only pile up batches there


@dataclass
class Trainer:
    """The loop, and what it must remember between steps."""

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
