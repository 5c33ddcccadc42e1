"""Read a LeRobot v2.1 data set in the layout of the 2025 challenge, real or embedded."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hearth.benchmark import Benchmark
from hearth.core.errors import DataError, choices
from hearth.core.files import read_json
from hearth.data.lerobot import layout
from hearth.data.lerobot.video import decode_video


@dataclass(frozen=True)
class Table:
    """The table of one episode of T frames.

    Attributes:
        actions: float32[T, D], in the benchmark's order and units.
        proprioception: float32[T, P].
        timestamps: float64[T], seconds.
    """

    actions: np.ndarray
    proprioception: np.ndarray
    timestamps: np.ndarray


class Dataset:
    """A data set folder. Tasks and cameras that nobody asks for may be absent.

    Raises:
        DataError: no index, another LeRobot version, another rate, or another robot's layout.
    """

    def __init__(self, root: Path | str, benchmark: Benchmark) -> None:
        self.root = Path(root)
        self.benchmark = benchmark
        self.info = read_json(self.root / "meta" / "info.json")
        path = self.root / "meta" / "info.json"
        robot = benchmark.robot
        expected = {
            "codebase_version": layout.CODEBASE_VERSION,
            "fps": benchmark.frames_per_second,
            "chunks_size": layout.EPISODES_PER_TASK,
        }
        for key, value in expected.items():
            if self.info.get(key) != value:
                raise DataError(f"{path}: {key} is {self.info.get(key)!r}; needed is {value!r}")
        widths = {layout.ACTION: robot.action_width, layout.STATE: robot.proprioception_width}
        for name, width in widths.items():
            shape = self.info.get("features", {}).get(name, {}).get("shape")
            if shape != [width]:
                raise DataError(
                    f"{path}: '{name}' has shape {shape}; robot '{robot.name}' of benchmark "
                    f"'{benchmark.name}' has [{width}]: the data set is of another robot layout"
                )

    @cached_property
    def _lengths(self) -> dict[int, int]:
        rows = _read_lines(self.root / "meta" / "episodes.jsonl")
        return {int(row["episode_index"]): int(row["length"]) for row in rows}

    def episodes(self, task: str) -> tuple[int, ...]:
        """Episode indices of `task` by the index, in order.

        Raises:
            DataError: the task's folder is not there, or the index gives its number to another.
        """
        index = self.benchmark.task(task).index
        names = {
            int(row["task_index"]): str(row.get("task_name", row["task"])).replace(" ", "_")
            for row in _read_lines(self.root / "meta" / "tasks.jsonl")
        }
        if names.get(index) != task:
            raise DataError(
                f"{self.root}: task {index} is '{names.get(index)}', not '{task}': "
                + choices(task, names.values())
            )
        found = tuple(sorted(e for e in self._lengths if layout.task_index_of(e) == index))
        if not found or not self.table_path(found[0]).parent.is_dir():
            here = {layout.task_index_of(episode) for episode in self._lengths}
            here = {i for i in here if (self.root / "data" / f"task-{i:04d}").is_dir()}
            raise DataError(
                f"{self.root} has no episodes of '{task}': "
                + choices(task, [names[i] for i in sorted(here) if i in names])
            )
        return found

    def table_path(self, episode: int) -> Path:
        return layout.episode_path(self.root, layout.DATA_PATH, episode)

    def video_path(self, episode: int, camera: str) -> Path:
        """The mp4 of a camera, named as in the benchmark."""
        if camera not in self.benchmark.cameras:
            raise DataError(f"unknown camera '{camera}': {choices(camera, self.benchmark.cameras)}")
        key = self.benchmark.cameras[camera].dataset_key
        return layout.episode_path(self.root, layout.VIDEO_PATH, episode, key)

    def read_table(self, episode: int) -> Table:
        """The episode's table.

        Raises:
            DataError: missing, truncated, another layout, or another length than in the index.
        """
        path, robot = self.table_path(episode), self.benchmark.robot
        widths = {layout.ACTION: robot.action_width, layout.STATE: robot.proprioception_width}
        columns = read_columns(path, widths)
        length = len(columns[layout.TIMESTAMP])
        if length != self._lengths.get(episode):
            raise DataError(
                f"{path} has {length} rows; meta/episodes.jsonl says {self._lengths.get(episode)}"
            )
        return Table(columns[layout.ACTION], columns[layout.STATE], columns[layout.TIMESTAMP])

    def read_frames(self, episode: int, camera: str, every: int = 1) -> Iterator[np.ndarray]:
        """Yield uint8[height, width, 3] of every `every`-th frame; checks the count of all.

        Raises:
            DataError: missing, truncated, or another number of frames than the index says.
        """
        return decode_video(self.video_path(episode, camera), self._lengths[episode], every)


def read_columns(path: Path, widths: Mapping[str, int]) -> dict[str, np.ndarray]:
    """Read list columns as float32[T, width] and the timestamp as float64[T].

    Lists are flattened inside Arrow: row by row would take a hundred times longer.

    Raises:
        DataError: the file is missing or unreadable, lacks a column, or a row has another width.
    """
    if not path.is_file():
        raise DataError(f"{path} does not exist")
    try:
        with pq.ParquetFile(path) as file:
            missing = sorted({*widths, layout.TIMESTAMP} - set(file.schema_arrow.names))
            if missing:
                raise DataError(f"{path} lacks the columns {', '.join(missing)}")
            table = file.read(columns=[*widths, layout.TIMESTAMP])
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read as parquet: {error}") from error
    if not table.num_rows:
        raise DataError(f"{path} has no rows")
    columns: dict[str, np.ndarray] = {
        name: _flatten(path, name, table.column(name), width) for name, width in widths.items()
    }
    columns[layout.TIMESTAMP] = _numbers(path, layout.TIMESTAMP, table.column(layout.TIMESTAMP))
    return columns


def _flatten(path: Path, name: str, column: pa.ChunkedArray, width: int) -> np.ndarray:
    kind = column.type
    if not (pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind)):
        raise DataError(f"{path}: column '{name}' is {kind}, not a list of {width} numbers")
    lengths = column.combine_chunks().value_lengths()
    found = set(lengths.unique().to_pylist())
    if found != {width}:
        raise DataError(f"{path}: rows of '{name}' have {found} numbers; needed are {width}")
    flat = column.combine_chunks().flatten()
    return _numbers(path, name, flat).astype(np.float32).reshape(-1, width)


def _numbers(path: Path, name: str, values: pa.Array | pa.ChunkedArray) -> np.ndarray:
    if not (pa.types.is_floating(values.type) or pa.types.is_integer(values.type)):
        raise DataError(f"{path}: column '{name}' holds {values.type}, not numbers")
    if values.null_count:
        raise DataError(f"{path}: column '{name}' has {values.null_count} empty values")
    return values.to_numpy().astype(np.float64)


def _read_lines(path: Path) -> list[dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist") from error
    rows = []
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise DataError(f"{path}, line {number} is not valid JSON: {error}") from error
    return rows
