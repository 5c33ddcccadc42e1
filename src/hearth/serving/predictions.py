"""Files of what was predicted, for evaluators that do not ask to be told (docs/serving.md)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hearth.policy.record import PredictionRecord
from hearth.serving.log import ErrorLog

_DIGITS = 6  # of actions and errors


@dataclass
class _Episode:
    resets: int = 0
    steps: int = 0  # actions given since the last reset
    failed: bool = False  # its file could not be written


class PredictionFiles:
    """Appends every prediction to ``<port>_<resets>.jsonl``: a file per episode, a line each.

    A port belongs to one evaluator, and `resets` counts its resets since the server started, as
    ``/metrics`` does. A line has the fields of `PredictionRecord` and `step`, the actions that were
    given in the episode before its first one. A file that cannot be written is given up, with a
    note in the log: the episode goes on.
    """

    def __init__(self, folder: Path, log: ErrorLog) -> None:
        self._folder, self._log = folder, log
        self._episodes: dict[int, _Episode] = {}

    def begin(self, port: int) -> None:
        """The evaluator of `port` sent a reset."""
        self._episodes[port] = _Episode(self._of(port).resets + 1)

    def predicted(self, port: int, record: PredictionRecord) -> None:
        """A prediction was made, and none of its actions was given yet."""
        episode = self._of(port)
        if episode.failed:
            return
        values = {name: _plain(value) for name, value in record.as_map().items()}
        line = json.dumps({"step": episode.steps, **values}, separators=(",", ":"))
        path = self._folder / f"{port}_{episode.resets}.jsonl"
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            episode.failed = True
            self._log.write(f"no predictions in {path}: {error.strerror}")

    def given(self, port: int, count: int) -> None:
        """So many actions went to the evaluator."""
        self._of(port).steps += count

    def _of(self, port: int) -> _Episode:
        return self._episodes.setdefault(port, _Episode())


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return (
            value.tolist() if value.dtype == bool else value.astype(float).round(_DIGITS).tolist()
        )
    return value if value is None or isinstance(value, int) else round(float(value), _DIGITS)
