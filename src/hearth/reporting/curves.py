"""Training curves: the scalars in the TensorBoard event files of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hearth.core.errors import DataError

_LOSS_TERMS = ("total", "action", "stage")


@dataclass(frozen=True)
class Curve:
    """One scalar over training: `steps` int64[N] rising, `values` float64[N]."""

    tag: str
    steps: np.ndarray
    values: np.ndarray

    @property
    def panel(self) -> str:
        """Curves of one panel belong together: the terms of the loss, the action loss by action

        group, tags with the same folder; every other tag has a panel of its own.
        """
        folder, _, name = self.tag.rpartition("/")
        if folder:
            return folder
        if name in _LOSS_TERMS:
            return "loss"
        return "action loss by group" if name.startswith("action_") else name.replace("_", " ")

    @property
    def label(self) -> str:
        name = self.tag.rpartition("/")[2]
        return name.removeprefix("action_").replace("_", " ")


def read_curves(folder: Path | str) -> list[Curve]:
    """All scalar curves below `folder`, by tag; empty when there are no event files.

    A resumed run goes on in a new event file, from its last checkpoint: what older files hold from
    there on was lost with the process that wrote it, and is left out.

    Raises:
        DataError: an event file cannot be read.
    """
    files = sorted(Path(folder).rglob("events.out.tfevents.*"))
    if not files:
        return []
    # Imported here because it takes a second and most reports have no use for it.
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    points: dict[str, dict[int, float]] = {}
    for file in files:
        accumulator = EventAccumulator(str(file), size_guidance={"scalars": 0, "tensors": 0})
        try:
            accumulator.Reload()
        except Exception as error:  # the reader raises many kinds on a damaged file
            raise DataError(f"cannot read event file {file}: {error}") from error
        for tag, values in _scalars(accumulator).items():
            first = min(values)
            kept = {step: v for step, v in points.get(tag, {}).items() if step < first}
            points[tag] = kept | values
    return [_curve(tag, values) for tag, values in sorted(points.items())]


def _scalars(accumulator: Any) -> dict[str, dict[int, float]]:
    """Values by step of every scalar tag of one event file."""
    tags = accumulator.Tags()
    found = {
        tag: {event.step: float(event.value) for event in accumulator.Scalars(tag)}
        for tag in tags["scalars"]
    }
    found |= {tag: _scalar_tensors(accumulator, tag) for tag in tags["tensors"]}
    return {tag: values for tag, values in found.items() if values}


def _scalar_tensors(accumulator: Any, tag: str) -> dict[int, float]:
    """Scalars written as rank-0 tensors (the second version of TensorBoard's summaries)."""
    from tensorboard.util.tensor_util import make_ndarray

    arrays = {event.step: make_ndarray(event.tensor_proto) for event in accumulator.Tensors(tag)}
    return {
        step: float(array)
        for step, array in arrays.items()
        if array.ndim == 0 and np.issubdtype(array.dtype, np.number)
    }


def _curve(tag: str, values: dict[int, float]) -> Curve:
    steps = np.array(sorted(values))
    return Curve(tag, steps, np.array([values[step] for step in steps]))
