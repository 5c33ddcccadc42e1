"""The arrays of a recorded file, and which of them a comparison has read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path

import numpy as np

# What no comparison reads, and why: "<file>/<array>".
NOT_COMPARED = {
    "inputs/chol_reg": "the checkpoint holds the same factor, which is compared",
    "inputs/flow_beta_draw": "the recorded flow times are made of it",
    "inputs/image_f32/*": "the recorded bytes over 127.5 less one",
    "*/t_trace": "times between the points of the flow, which are compared",
    "*/max_abs_delta_U": "derived from the points of the flow, which are compared",
    "*/correction_applied": "derived from the points of the flow, which are compared",
    "*/constraint_active": "derived from the points of the flow, which are compared",
    "policy/norm/actions/per_timestamp_q*": "quantiles per timestep, which nothing reads",
    "policy/pipe/pad_state": "the state and zeros",
    "policy/stage_label/timestamp_f32": "seconds of the recorded frames",
}


class Recorded(Mapping[str, np.ndarray]):
    """A file of arrays; `read` holds the names of those that were asked for."""

    def __init__(self, path: Path) -> None:
        self.name = path.stem
        self.read: set[str] = set()
        self._file = np.load(path)

    def __getitem__(self, name: str) -> np.ndarray:
        array = self._file[name]
        self.read.add(name)
        return array

    def __contains__(self, name: object) -> bool:
        return name in self._file.files

    def __iter__(self) -> Iterator[str]:
        return iter(self._file.files)

    def __len__(self) -> int:
        return len(self._file.files)

    def left_out(self) -> list[str]:
        """Arrays that nobody read, though no reason says that they need not be."""
        unread = [f"{self.name}/{name}" for name in self if name not in self.read]
        return [name for name in unread if not any(fnmatch(name, known) for known in NOT_COMPARED)]
