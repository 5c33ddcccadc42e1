"""Write demonstrations as a LeRobot v2.1 data set in the layout of the 2025 challenge."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hearth.benchmark import Benchmark
from hearth.core.errors import DataError
from hearth.core.files import atomic_path, read_json, write_json
from hearth.core.records import Demonstration
from hearth.data.lerobot import layout
from hearth.data.lerobot.index import write_index
from hearth.data.lerobot.video import encode_video

__all__ = ["DatasetWriter", "write_index"]


class DatasetWriter:
    """Writes episodes below `root`; the meta files of the whole set come from `write_index`.

    An episode exists exactly when its table does: the table is written last, so a writer that was
    killed leaves nothing that looks finished.
    """

    def __init__(self, root: Path | str, benchmark: Benchmark) -> None:
        self.root = Path(root)
        self.benchmark = benchmark

    def entry(self, task: str, number: int) -> dict[str, Any] | None:
        """The entry of a finished episode, or None where it is still to be recorded."""
        episode = layout.episode_index(self.benchmark.task(task).index, number)
        if not layout.episode_path(self.root, layout.DATA_PATH, episode).is_file():
            return None
        return read_json(layout.episode_path(self.root, layout.METAINFO_PATH, episode))

    def discard_task(self, task: str) -> None:
        """Remove all recordings of a task; its tables go first, so no half episode looks whole."""
        folder = f"task-{self.benchmark.task(task).index:04d}"
        for parent in ("data", "videos", "annotations", "meta/episodes"):
            if (self.root / parent / folder).exists():
                shutil.rmtree(self.root / parent / folder)

    def write_episode(
        self, demonstration: Demonstration, number: int, attempts: int = 1
    ) -> dict[str, Any]:
        """Write videos, annotation, meta information and table of the task's `number`-th episode.

        Args:
            attempts: how many tries the expert needed, this one included.

        Returns:
            The entry for `write_index`: episode_index, task, length, instance_id, seed, attempts.

        Raises:
            DataError: arrays of unequal length or of another robot's width, values that are not
                finite, a missing camera, or a number outside the layout.
        """
        self._check(demonstration)
        task = self.benchmark.task(demonstration.task)
        episode = layout.episode_index(task.index, number)
        for name, camera in self.benchmark.cameras.items():
            path = layout.episode_path(self.root, layout.VIDEO_PATH, episode, camera.dataset_key)
            encode_video(path, demonstration.frames[name], self.benchmark.frames_per_second)
        entry = {
            "episode_index": episode,
            "task": task.name,
            "length": demonstration.length,
            "instance_id": demonstration.instance_id,
            "seed": demonstration.seed,
            "attempts": attempts,
        }
        write_json(
            layout.episode_path(self.root, layout.ANNOTATION_PATH, episode),
            annotation(task.name, demonstration.expert_stages),
        )
        write_json(layout.episode_path(self.root, layout.METAINFO_PATH, episode), entry)
        table = self._table(demonstration, episode, task.index)
        path = layout.episode_path(self.root, layout.DATA_PATH, episode)
        with atomic_path(path) as temporary:
            pq.write_table(table, temporary)
        return entry

    def _check(self, demonstration: Demonstration) -> None:
        length, robot = demonstration.length, self.benchmark.robot
        arrays = {
            layout.ACTION: (demonstration.actions, robot.action_width),
            layout.STATE: (demonstration.proprioception, robot.proprioception_width),
        }
        for name, (array, width) in arrays.items():
            if array.shape != (length, width):
                raise DataError(
                    f"demonstration of {demonstration.task}: {name} is {array.shape}; robot "
                    f"'{robot.name}' needs {(length, width)}"
                )
            if not np.isfinite(array).all():
                raise DataError(f"demonstration of {demonstration.task}: {name} is not finite")
        lengths = {name: len(demonstration.frames.get(name, ())) for name in self.benchmark.cameras}
        lengths["expert_stages"] = len(demonstration.expert_stages)
        for name, found in lengths.items():
            if found != length:
                raise DataError(
                    f"demonstration of {demonstration.task}: {name} has {found} frames of {length}"
                )

    def _table(self, demonstration: Demonstration, episode: int, task_index: int) -> pa.Table:
        length = demonstration.length
        rows = np.arange(length, dtype=np.int64)
        return pa.table(
            {
                "index": rows,
                "episode_index": np.full(length, episode, dtype=np.int64),
                "task_index": np.full(length, task_index, dtype=np.int64),
                layout.TIMESTAMP: rows / self.benchmark.frames_per_second,
                layout.STATE: list_column(demonstration.proprioception),
                layout.ACTION: list_column(demonstration.actions),
            }
        )


def list_column(values: np.ndarray) -> pa.ListArray:
    count, width = values.shape
    flat = pa.array(np.ascontiguousarray(values, dtype=np.float32).reshape(-1))
    return pa.ListArray.from_arrays(np.arange(count + 1, dtype=np.int32) * width, flat)


def annotation(task: str, expert_stages: np.ndarray) -> dict[str, Any]:
    """The expert's stages as the skill segments of the challenge's annotation files.

    Segments are half-open [start, stop) in frames; a stage that comes back is a segment of its own.
    """
    stages = np.asarray(expert_stages)
    borders = [0, *(np.flatnonzero(np.diff(stages)) + 1).tolist(), len(stages)]
    segments = [
        {
            "skill_idx": order,
            "skill_id": [int(stages[start])],
            "skill_description": [f"expert stage {int(stages[start])}"],
            "frame_duration": [start, stop],
        }
        for order, (start, stop) in enumerate(itertools.pairwise(borders))
    ]
    return {
        "task_name": task,
        "data_folder": "",
        "meta_data": {"task_duration": len(stages), "valid_duration": [0, len(stages)]},
        "skill_annotation": segments,
        "primitive_annotation": [],
    }
