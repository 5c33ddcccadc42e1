"""The statistics of one task as a file: what a merge needs, and for which data it holds."""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hearth.core.errors import StatisticsError
from hearth.core.files import write_bytes
from hearth.data.statistics.histogram import BINS, DyadicHistogram
from hearth.data.statistics.moments import Moments

FORMAT = 1  # of the file and of what its numbers mean; others are computed anew
STAGES = 15  # rows of the gripper table per task: the most stages a task may have (report, 4.2.1)
_TABLES = ("stage_frames", "stage_episodes", "closed_frames", "episode_lengths")


@dataclass(frozen=True)
class Identity:
    """What a partial result belongs to.

    Attributes:
        benchmark, robot, task, task_index: names, and the task's index in the benchmark.
        horizon: H.
        fingerprint: hash over the prepared episodes, the robot's layout and the settings.
    """

    benchmark: str
    robot: str
    task: str
    task_index: int
    horizon: int
    fingerprint: str


@dataclass(frozen=True)
class TaskStatistics:
    """Statistics of the episodes of one task that are not held out; D dimensions, horizon H.

    Attributes:
        identity: what it belongs to.
        chunks: moments of the flat full delta chunks, size H * D, index t * D + d.
        state: moments of the states, size D.
        state_histograms, delta_histograms: D each, of the states and of all chunk entries.
        stage_frames, stage_episodes: int64[15], frames and episodes at every stage.
        closed_frames: int64[15, 2], frames with the (left, right) hand fully closed.
        episode_lengths: int64[episodes], frames of every episode.
        held_out, short: episodes left out for validation, and shorter than the horizon.
    """

    identity: Identity
    chunks: Moments
    state: Moments
    state_histograms: list[DyadicHistogram]
    delta_histograms: list[DyadicHistogram]
    stage_frames: np.ndarray
    stage_episodes: np.ndarray
    closed_frames: np.ndarray
    episode_lengths: np.ndarray
    held_out: int
    short: int

    def save(self, path: Path | str) -> None:
        """Write atomically as HDF5."""
        content = io.BytesIO()
        with h5py.File(content, "w") as file:
            file.attrs.update(format=FORMAT, held_out=self.held_out, short=self.short)
            file.attrs.update(asdict(self.identity))
            for name in _TABLES:
                file.create_dataset(name, data=getattr(self, name))
            for name in ("chunks", "state"):
                moments = getattr(self, name)
                group = file.create_group(name)
                group.attrs["count"] = moments.count
                group.create_dataset("mean", data=moments.mean)
                group.create_dataset("products", data=moments.products)
            for name in ("state_histograms", "delta_histograms"):
                _write_histograms(file.create_group(name), getattr(self, name))
        write_bytes(path, content.getvalue())

    @classmethod
    def load(cls, path: Path | str) -> TaskStatistics:
        """Read a file.

        Raises:
            StatisticsError: it is missing, truncated, of another format or no such file.
        """
        try:
            with h5py.File(path, "r", locking=False) as file:
                found = int(file.attrs["format"])  # type: ignore[arg-type]
                if found != FORMAT:
                    raise StatisticsError(f"{path} has format {found}; this version reads {FORMAT}")
                return cls(
                    identity=_read_identity(file),
                    chunks=_read_moments(file["chunks"]),
                    state=_read_moments(file["state"]),
                    state_histograms=_read_histograms(file["state_histograms"]),
                    delta_histograms=_read_histograms(file["delta_histograms"]),
                    held_out=int(file.attrs["held_out"]),  # type: ignore[arg-type]
                    short=int(file.attrs["short"]),  # type: ignore[arg-type]
                    **{name: file[name][()] for name in _TABLES},  # type: ignore[index]
                )
        except (OSError, KeyError, ValueError) as error:
            raise StatisticsError(
                f"cannot read the task's statistics {path} ({error}); delete it and run again"
            ) from error


def is_current(path: Path, identity: Identity) -> bool:
    """Whether `path` is whole and belongs to `identity`."""
    try:
        return TaskStatistics.load(path).identity == identity
    except StatisticsError:
        return False


def _read_identity(file: h5py.File) -> Identity:
    values: dict[str, Any] = {}
    for field in fields(Identity):
        value: Any = file.attrs[field.name]
        values[field.name] = str(value) if field.type == "str" else int(value)
    return Identity(**values)


def _read_moments(group: Any) -> Moments:
    return Moments(int(group.attrs["count"]), group["mean"][()], group["products"][()])


def _write_histograms(group: h5py.Group, histograms: list[DyadicHistogram]) -> None:
    counts = np.zeros((len(histograms), BINS), dtype=np.int64)
    for row, histogram in zip(counts, histograms, strict=True):
        row[: len(histogram.counts)] = histogram.counts
    # Counts are small numbers with many zeros: a twentieth of the size.
    group.create_dataset("counts", data=counts, compression="gzip", shuffle=True)
    group.create_dataset("minimum", data=[histogram.minimum for histogram in histograms])
    group.create_dataset("maximum", data=[histogram.maximum for histogram in histograms])


def _read_histograms(group: Any) -> list[DyadicHistogram]:
    ranges = zip(group["minimum"][()], group["maximum"][()], strict=True)
    return [
        DyadicHistogram.of_counts(float(low), float(high), counts)
        for (low, high), counts in zip(ranges, group["counts"][()], strict=True)
    ]
