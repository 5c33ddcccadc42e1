"""Checkpoints: written in the background, whole or not at all, the newest readable one is used."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from hearth.core.errors import CheckpointError
from hearth.training.state import TrainState


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

    def __exit__(self, *error: object) -> None:
        self._manager.wait_until_finished()
        self._manager.close()

    @property
    def steps(self) -> list[int]:
        """Steps of the complete checkpoints, oldest first."""
        return sorted(self._manager.all_steps())

    def save(self, state: TrainState, seconds: float) -> None:
        """Start writing `state`; `seconds` is the run's wall time so far. Twice is once.

        Raises:
            CheckpointError: this or the previous write failed.
        """
        step = int(state.step)
        if step in self._manager.all_steps():
            return
        content = ocp.args.Composite(
            state=ocp.args.StandardSave(state), run=ocp.args.JsonSave({"seconds": seconds})
        )
        try:
            self._manager.save(step, args=content)
        except (OSError, ValueError, RuntimeError) as error:
            raise CheckpointError(
                f"cannot write checkpoint {step} into {self.folder}: {error}"
            ) from error

    def wait(self) -> None:
        """Return when everything is on disk.

        Raises:
            CheckpointError: the write failed.
        """
        try:
            self._manager.wait_until_finished()
            self._manager.check_for_errors()
        except (OSError, ValueError, RuntimeError) as error:
            raise CheckpointError(
                f"cannot write a checkpoint into {self.folder}: {error}"
            ) from error

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
