"""The statistics of a data set as a value: normalisation, correlation, gripper closures.

`hearth.data.statistics` computes it; training, the policy bundle and reports read it.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hearth.core.errors import StatisticsError
from hearth.core.files import hash_json, write_bytes

_ARRAYS = (
    "state_mean", "state_std", "state_q01", "state_q99",
    "action_mean", "action_std", "action_q01", "action_q99",
    "chunk_mean", "chunk_std", "correlation", "gripper_closed", "per_timestep", "delta",
)  # fmt: skip
SMALLEST_STD = 1e-3  # a dimension that never moves must not blow up when divided


@dataclass(frozen=True)
class Statistics:
    """Statistics of normalised delta chunks of horizon H over D dimensions (report, 4.5, 5.2, 7.4).

    Attributes:
        robot, benchmark: names of what was measured.
        tasks: names of the tasks that were pooled.
        source_hash: hash over the prepared episodes.
        state_*: float64[D]. action_*: float64[D], of all entries of the delta chunks.
        chunk_mean, chunk_std: float64[H, D], per timestep of the chunk.
        correlation: float64[H*D, H*D] of the normalised chunks, flat index t*D + d.
        gripper_closed: bool[task_count, 15, 2], closed somewhere at (task, stage, hand).
        per_timestep: bool[D], dimensions normalised per timestep.
        delta: bool[D], dimensions that chunks give against the state at their start.
    """

    robot: str
    benchmark: str
    tasks: tuple[str, ...]
    source_hash: str
    state_mean: np.ndarray
    state_std: np.ndarray
    state_q01: np.ndarray
    state_q99: np.ndarray
    action_mean: np.ndarray
    action_std: np.ndarray
    action_q01: np.ndarray
    action_q99: np.ndarray
    chunk_mean: np.ndarray
    chunk_std: np.ndarray
    correlation: np.ndarray
    gripper_closed: np.ndarray
    per_timestep: np.ndarray
    delta: np.ndarray

    @property
    def horizon(self) -> int:
        return self.chunk_mean.shape[0]

    @cached_property
    def hash(self) -> str:
        """A hash over all names and numbers."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return hash_json(
            {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in values.items()}
        )

    @cached_property
    def _chunk_scale(self) -> tuple[np.ndarray, np.ndarray]:
        mean = np.where(self.per_timestep, self.chunk_mean, self.action_mean)
        std = np.where(self.per_timestep, self.chunk_std, self.action_std)
        return mean, np.maximum(std, SMALLEST_STD)

    def normalise_state(self, state: np.ndarray) -> np.ndarray:
        """State (..., D) -> float32 z-scores."""
        std = np.maximum(self.state_std, SMALLEST_STD)
        return ((state - self.state_mean) / std).astype(np.float32)

    def normalise_actions(self, chunk: np.ndarray) -> np.ndarray:
        """Delta chunk (..., H', D), H' <= H from the chunk's start -> float32 z-scores."""
        mean, std = self._chunk_scale
        length = chunk.shape[-2]
        return ((chunk - mean[:length]) / std[:length]).astype(np.float32)

    def denormalise_actions(self, chunk: np.ndarray) -> np.ndarray:
        """The inverse of `normalise_actions`."""
        mean, std = self._chunk_scale
        length = chunk.shape[-2]
        return (chunk * std[:length] + mean[:length]).astype(np.float32)

    def cholesky(self, shrinkage: float) -> np.ndarray:
        """float32[H*D, H*D], lower factor of beta*Sigma + (1-beta)*I (report, equations 8, 9)."""
        size = len(self.correlation)
        mixed = shrinkage * self.correlation + (1.0 - shrinkage) * np.eye(size)
        # beta = 1 may meet a singular correlation (a joint that never moves).
        return np.linalg.cholesky(mixed + 1e-6 * np.eye(size)).astype(np.float32)

    def save(self, path: Path | str) -> None:
        """Write atomically as HDF5."""
        # Through memory: h5py's own error on a full disk is not an OSError that names the file.
        content = io.BytesIO()
        with h5py.File(content, "w") as file:
            for name in _ARRAYS:
                file.create_dataset(name, data=getattr(self, name))
            file.attrs.update(
                robot=self.robot, benchmark=self.benchmark,
                tasks="\n".join(self.tasks), source_hash=self.source_hash,
            )  # fmt: skip
        write_bytes(path, content.getvalue())

    @classmethod
    def load(cls, path: Path | str) -> Statistics:
        """Read a file.

        Raises:
            StatisticsError: missing, truncated, or not a statistics file.
        """
        if not Path(path).is_file():
            raise StatisticsError(f"{path} does not exist; make it first with: hearth statistics")
        try:
            # Lustre and NFS often refuse HDF5's own lock, and a finished file is never changed.
            with h5py.File(path, "r", locking=False) as file:
                arrays: dict[str, Any] = {name: file[name][()] for name in _ARRAYS}  # pyright: ignore
                names = {key: str(file.attrs[key]) for key in ("robot", "benchmark", "source_hash")}
                tasks = tuple(str(file.attrs["tasks"]).split("\n"))
        except (OSError, KeyError) as error:
            raise StatisticsError(f"cannot read statistics {path}: {error}") from error
        return cls(tasks=tasks, **names, **arrays)

    def check(self, robot: str, tasks: tuple[str, ...], horizon: int) -> None:
        """Refuse statistics of another robot, other tasks or another horizon.

        Raises:
            StatisticsError: naming both sides.
        """
        if self.robot != robot:
            raise StatisticsError(f"statistics are of robot '{self.robot}', not '{robot}'")
        if self.horizon != horizon:
            raise StatisticsError(f"statistics have horizon {self.horizon}, settings {horizon}")
        missing = sorted(set(tasks) - set(self.tasks))
        if missing:
            raise StatisticsError(
                f"statistics do not cover {', '.join(missing)}; they cover {', '.join(self.tasks)}"
            )
