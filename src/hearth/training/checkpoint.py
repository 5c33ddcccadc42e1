"""Checkpoints: written in the background, whole or not at all, the newest readable one is used."""

from __future__ import annotations

import contextlib
import logging
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from hearth.core.errors import CheckpointError
from hearth.training import processes
from hearth.training.state import TrainState

# What a full disk is called at the end of the long messages of tensorstore.
_REASONS = ("No space left on device", "Disk quota exceeded", "File too large")


class _WithoutTraceback(logging.Filter):
    """The background threads of orbax log what they also raise: a line of it is enough."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.exc_info = None
        return True


logging.getLogger("absl").addFilter(_WithoutTraceback())


class Checkpoints:
    """The checkpoints of one run; use as a context manager, leaving waits for the last write."""

    def __init__(self, folder: Path, kept: int = 2) -> None:
        """
        Args:
            folder: where they lie.
            kept: how many of the newest stay.
        """
        self.folder = folder.absolute()
        folder.mkdir(parents=True, exist_ok=True)
        options = ocp.CheckpointManagerOptions(
            max_to_keep=kept, enable_async_checkpointing=True, cleanup_tmp_directories=True
        )
        self._manager = ocp.CheckpointManager(self.folder, options=options)

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            self.wait()
        except CheckpointError:
            if error is None:  # else that one came first and says more
                raise
        finally:
            with contextlib.suppress(OSError, ValueError, RuntimeError):  # raised by `wait` before
                self._manager.close()

    @property
    def steps(self) -> list[int]:
        """Steps of the complete checkpoints, oldest first."""
        return sorted(self._manager.all_steps())

    def save(self, state: TrainState, seconds: float) -> None:
        """Start writing `state`; `seconds` is the run's wall time so far. Twice is once.

        Raises:
            CheckpointError: this or the previous write failed, or there is no room for it.
        """
        step = int(state.step)
        if step in self._manager.all_steps():
            return
        self.wait()
        self._check_room(state)
        content = ocp.args.Composite(
            state=ocp.args.StandardSave(state), run=ocp.args.JsonSave({"seconds": seconds})
        )
        with self._writing():
            self._manager.save(step, args=content)

    def wait(self) -> None:
        """Return when everything is on disk.

        Raises:
            CheckpointError: the write failed.
        """
        with self._writing():
            self._manager.wait_until_finished()
            self._manager.check_for_errors()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError, RuntimeError) as error:
            text = str(error)
            reason = next((known for known in _REASONS if known in text), text)
            raise CheckpointError(
                f"cannot write a checkpoint into {self.folder}: {reason}"
            ) from error

    def _check_room(self, state: TrainState) -> None:
        """Before the first byte: a write that fails halfway ends in many threads at once."""
        needed = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
        free = shutil.disk_usage(self.folder).free
        # Processes that saw another moment of the disk must not wait for each other.
        if processes.any_of(free < needed):
            raise CheckpointError(
                f"cannot write checkpoint {int(state.step)} into {self.folder}: {_REASONS[0]}: it "
                f"takes {needed / 1e6:.0f} MB, {free / 1e6:.0f} MB are free; the same command goes "
                f"on from {f'step {self.steps[-1]}' if self.steps else 'the start'}"
            )

    def restore_newest(self, template: TrainState) -> tuple[TrainState, float] | None:
        """The newest checkpoint that can be read and its wall seconds; None if there is none.

        Unreadable ones are named on standard error and removed, so that their steps can be
        written again.

        Raises:
            CheckpointError: there are checkpoints, but none can be read.
        """
        steps = self.steps
        problems = []
        for step in reversed(steps):
            try:
                found = self._restore(step, template)
            except Exception as error:  # orbax raises many kinds for a damaged folder
                reason = str(error).strip().splitlines() or [type(error).__name__]
                problems.append(f"checkpoint {step}: {reason[0]}")
                print(f"unreadable {problems[-1]}", file=sys.stderr, flush=True)
            else:
                self._drop_after(step)
                return found
        if problems:
            raise CheckpointError(
                f"no checkpoint in {self.folder} can be read and fits the settings ("
                + "; ".join(problems)
                + "); start afresh with: hearth train --discard"
            )
        return None

    def _drop_after(self, step: int) -> None:
        for newer in self.steps:
            if newer > step:
                self._manager.delete(newer)
                shutil.rmtree(self.folder / str(newer), ignore_errors=True)

    def _restore(self, step: int, template: TrainState) -> tuple[TrainState, float]:
        shapes = jax.tree.map(ocp.utils.to_shape_dtype_struct, template)
        args = ocp.args.Composite(
            state=ocp.args.StandardRestore(shapes), run=ocp.args.JsonRestore()
        )
        content: Any = self._manager.restore(step, args=args)
        state = content["state"]
        if int(state.step) != step:
            raise CheckpointError(f"holds step {int(state.step)}, not {step}")
        return state, float(content["run"]["seconds"])
