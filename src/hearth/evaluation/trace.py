"""Recording of what a policy predicts in an episode: stages, corrections, and some chunks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hearth.benchmark import Benchmark
from hearth.evaluation.episode import EpisodeJob

_DIGITS = 4  # of actions in m/s, rad and rad/s: far below what a figure shows
_SCALARS = ("raw_stage", "voted_stage", "stage")
_ARRAYS = ("chunk", "actions", "kept")


class TraceRecorder:
    """Collects the predictions of one episode.

    Of every prediction its stages, corrections and overlap error; of some pairs of consecutive
    predictions the whole chunks, spread evenly over the episode however long it gets.

    Args:
        pairs: the most pairs whose chunks are kept; at the end there are at least half as many
            where the episode has enough predictions.
    """

    def __init__(self, pairs: int) -> None:
        self.pairs = pairs
        self.clear()

    def clear(self) -> None:
        """Forget the episode."""
        self._lines: list[dict[str, Any]] = []
        self._chunks: dict[int, dict[str, Any]] = {}
        self._apart = 2  # predictions between the beginnings of two pairs that are kept

    def add(self, step: int, prediction: Mapping[str, Any]) -> None:
        """Add a prediction: the fields of `hearth.policy.record.PredictionRecord`.

        Args:
            step: control steps of the episode before its first action.
            prediction: as the policy server tells it.
        """
        error = prediction["overlap_error"]
        index = len(self._lines)
        self._lines.append(
            {
                "step": step,
                **{key: int(prediction[key]) for key in _SCALARS},
                "opened": [int(hand) for hand in np.flatnonzero(prediction["opened"])],
                "overlap_error": None if error is None else round(float(error), _DIGITS),
            }
        )
        if self.pairs and index % self._apart < 2:
            self._chunks[index] = {
                "step": step, "used": int(prediction["used"]),
                **{key: np.asarray(prediction[key], np.float64) for key in _ARRAYS},
            }  # fmt: skip
            self._thin()

    def _thin(self) -> None:
        """Keep every second pair where there are too many."""
        while sum(index % self._apart == 0 for index in self._chunks) > self.pairs:
            self._apart *= 2
            kept = {i: chunk for i, chunk in self._chunks.items() if i % self._apart < 2}
            self._chunks = kept

    def trace(self, job: EpisodeJob, benchmark: Benchmark, steps: int) -> dict[str, Any] | None:
        """The trace of an episode of `steps` control steps; None where nothing was told."""
        if not self._lines:
            return None
        begins = [i for i in self._chunks if i % self._apart == 0 and i + 1 in self._chunks]
        return {
            "task": job.task,
            "instance_id": job.instance_id,
            "rollout_id": job.rollout_id,
            "steps": steps,
            "frames_per_second": job.frames_per_second,
            "stages": benchmark.task(job.task).stages,
            "dimensions": list(benchmark.robot.action_names),
            "predictions": {key: [line[key] for line in self._lines] for key in self._lines[0]},
            "pairs": [[_plain(self._chunks[i]), _plain(self._chunks[i + 1])] for i in begins],
        }


def _plain(chunk: dict[str, Any]) -> dict[str, Any]:
    return chunk | {key: chunk[key].round(_DIGITS).tolist() for key in _ARRAYS}
