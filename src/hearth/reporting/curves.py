"""Training curves: the scalars in the TensorBoard event files of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hearth.core.errors import DataError


@dataclass(frozen=True)
class Curve:
    """One scalar over training: `steps` int64[N] rising, `values` float64[N]."""

    tag: str
    steps: np.ndarray
    values: np.ndarray

    @property
    def panel(self) -> str:
        """Curves of one panel belong together: the tag before its last slash, else "scalars"."""
        return self.tag.rpartition("/")[0] or "scalars"

    @property
    def label(self) -> str:
        return self.tag.rpartition("/")[2]


def read_curves(folder: Path | str) -> list[Curve]:
    """All scalar curves below `folder`, by tag; empty when there are no event files.

    After a resume several event files may hold the same step: the last one written counts.

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
        for tag in accumulator.Tags()["scalars"]:
            values = {event.step: float(event.value) for event in accumulator.Scalars(tag)}
            points.setdefault(tag, {}).update(values)
        for tag in accumulator.Tags()["tensors"]:
            points.setdefault(tag, {}).update(_scalar_tensors(accumulator, tag))
    return [_curve(tag, values) for tag, values in sorted(points.items()) if values]


def _scalar_tensors(accumulator, tag: str) -> dict[int, float]:
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
