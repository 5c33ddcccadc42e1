"""Traces of episodes that an official evaluator plays, from what its policy server wrote.

The evaluator says nothing of who asks, and its server knows ports and resets alone. What a port
was told between two resets belongs to an episode by its place in the order in which the evaluator
plays; the number of its steps must fit as well, or there is no trace.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hearth.benchmark import Benchmark
from hearth.core.temporary import TemporaryFolder
from hearth.core.traces import trace_path, write_trace
from hearth.evaluation.episode import EpisodeJob
from hearth.evaluation.trace import TraceRecorder


class PredictionFolder:
    """Where the policy server of an evaluation writes, and the next one after it, on this node."""

    def __init__(self) -> None:
        self._folder: TemporaryFolder | None = None

    def next_server(self) -> list[str]:
        """The words that tell a server to write into a folder of its own."""
        self.close()
        self._folder = TemporaryFolder("predictions")
        return ["--predictions", str(self._folder.path)]

    def episode(self, port: int, resets: int, place: int) -> list[dict[str, Any]]:
        """The predictions of an episode, none where they are not known.

        Args:
            resets: of the port before its evaluator started.
            place: of the episode among those that the evaluator plays.
        """
        if self._folder is None:
            return []
        found = {int(path.stem.split("_")[1]): path for path in self._folder.path.glob(f"{port}_*")}
        played = [found[number] for number in sorted(found) if number > resets]
        if place >= len(played):
            return []
        lines = played[place].read_text(encoding="utf-8").splitlines()
        played[place].write_text("")  # it keeps its place, and takes none on the disk
        try:
            return [json.loads(line) for line in lines]
        except ValueError:  # cut off, as by a full disk: a trace may lack, its result may not
            return []

    def close(self) -> None:
        """Remove what is there."""
        if self._folder is not None:
            self._folder.remove()


def write(
    path: Path,
    job: EpisodeJob,
    benchmark: Benchmark,
    steps: int,
    predictions: Sequence[dict[str, Any]],
    pairs: int,
) -> None:
    """Write the trace beside the result at `path`, if the predictions are of `steps` steps."""
    trace_path(path).unlink(missing_ok=True)
    if not predictions or not _fit(predictions[-1], steps):
        return
    recorder = TraceRecorder(pairs)
    for prediction in predictions:
        recorder.add(prediction["step"], prediction)
    trace = recorder.trace(job, benchmark, steps)
    if trace is not None:
        write_trace(trace_path(path), trace)


def _fit(last: dict[str, Any], steps: int) -> bool:
    """Whether an episode of `steps` steps ends within the last plan."""
    # Evaluators may count one step more.
    return last["step"] < steps <= last["step"] + len(last["actions"]) + 1
