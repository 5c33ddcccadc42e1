"""LeRobot v3.0 as the 2026 challenge has it: many episodes share a table file and an mp4.

`meta/episodes/` says which rows and which seconds of which files make up an episode. A part of the
set is enough: the index files, tables and videos of the tasks and cameras that are asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from hearth.core.errors import DataError, choices
from hearth.data.lerobot import layout
from hearth.data.lerobot.dataset import Dataset
from hearth.data.lerobot.tables import (
    INTEGER_COLUMNS,
    Table,
    check_rows,
    integers,
    read_columns,
    read_parquet,
)

_NEEDED = ("episode_index", "length", "tasks", "data/chunk_index", "data/file_index")
_VIDEO_NEEDED = ("chunk_index", "file_index", "from_timestamp", "to_timestamp")
# The step of a frame may be off by this part of it: times are stored in seconds as floats.
_ROUNDING = 0.1


@dataclass(frozen=True)
class _Entry:
    """One row of the index; `videos` maps a video key to (chunk, file, first second, last)."""

    task: str
    length: int
    data: tuple[int, int]
    videos: Mapping[str, tuple[int, int, float, float]]
    annotation: str | None


class DatasetV30(Dataset):
    """Reads the layout of the 2026 challenge, the whole set or a folder per task."""

    version = layout.CODEBASE_VERSION_V30

    _last: tuple[Path, dict[str, np.ndarray]] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_last": None}  # other processes read tables for themselves

    @cached_property
    def _entries(self) -> dict[int, _Entry]:
        paths = sorted((self.root / "meta" / "episodes").glob("*/*.parquet"))
        if not paths:
            raise DataError(f"{self.root / 'meta/episodes'} holds no index of episodes")
        names = self._task_names()
        entries: dict[int, _Entry] = {}
        for path in paths:
            for episode, entry in self._read_index(path, names):
                if episode in entries:
                    raise DataError(f"{path}: episode {episode} stands twice in the index")
                entries[episode] = entry
        return entries

    def _task_names(self) -> dict[str, str]:
        """What an episode's row may call its task -> the benchmark's name of it."""
        path = self.root / "meta" / "tasks.parquet"
        table = read_parquet(path, ["task_index"], ["task", "__index_level_0__"])
        column = next((c for c in table.column_names if c != "task_index"), None)
        if column is None:
            raise DataError(f"{path} lacks the names of the tasks (column 'task')")
        return {str(text): layout.task_name(text) for text in table.column(column).to_pylist()}

    def _read_index(self, path: Path, names: dict[str, str]) -> list[tuple[int, _Entry]]:
        keys = [camera.dataset_key for camera in self.benchmark.cameras.values()]
        wanted = [f"videos/{key}/{part}" for key in keys for part in _VIDEO_NEEDED]
        table = read_parquet(path, _NEEDED, [*wanted, "annotation_path"])
        columns = {name: table.column(name) for name in table.column_names}
        whole = {
            name: integers(path, name, column)
            for name, column in columns.items()
            if name.endswith("_index") or name == "length"
        }
        rows = []
        for row in range(table.num_rows):
            tasks = columns["tasks"][row].as_py()
            if not isinstance(tasks, list) or len(tasks) != 1:
                raise DataError(f"{path}: row {row} names the tasks {tasks}; needed is one")
            videos = {
                key: self._read_place(path, row, key, whole, columns)
                for key in keys
                if all(f"videos/{key}/{part}" in columns for part in _VIDEO_NEEDED)
            }
            annotation = columns["annotation_path"][row].as_py() if "annotation_path" in columns \
                else None  # fmt: skip
            entry = _Entry(
                task=names.get(tasks[0], layout.task_name(tasks[0])),
                length=int(whole["length"][row]),
                data=(int(whole["data/chunk_index"][row]), int(whole["data/file_index"][row])),
                videos=videos,
                annotation=annotation,
            )
            rows.append((int(whole["episode_index"][row]), entry))
        return rows

    def _read_place(
        self,
        path: Path,
        row: int,
        key: str,
        whole: dict[str, np.ndarray],
        columns: dict[str, pa.ChunkedArray],
    ) -> tuple[int, int, float, float]:
        chunk, file = (
            int(whole[f"videos/{key}/{part}"][row]) for part in ("chunk_index", "file_index")
        )
        start, stop = (
            columns[f"videos/{key}/{part}"][row].as_py()
            for part in ("from_timestamp", "to_timestamp")
        )
        if not (isinstance(start, float) and isinstance(stop, float)):
            raise DataError(f"{path}: row {row} places '{key}' from {start!r} to {stop!r} s")
        return chunk, file, start, stop

    def episodes(self, task: str) -> tuple[int, ...]:
        self.benchmark.task(task)
        found = tuple(sorted(e for e, entry in self._entries.items() if entry.task == task))
        if not found or not self.table_path(found[0]).parent.is_dir():
            known = {entry.task for episode, entry in self._entries.items()
                     if self.table_path(episode).parent.is_dir()}  # fmt: skip
            raise DataError(f"{self.root} has no episodes of '{task}': {choices(task, known)}")
        return found

    def _entry(self, episode: int) -> _Entry:
        if episode not in self._entries:
            raise DataError(f"{self.root / 'meta/episodes'} has no episode {episode}")
        return self._entries[episode]

    def length(self, episode: int) -> int:
        return self._entry(episode).length

    def table_path(self, episode: int) -> Path:
        chunk, file = self._entry(episode).data
        return self.root / layout.DATA_PATH_V30.format(chunk_index=chunk, file_index=file)

    def annotation_path(self, episode: int) -> Path:
        entry = self._entry(episode)
        if entry.annotation is not None:
            return self.root / entry.annotation
        folder = f"task-{self.benchmark.task(entry.task).index:04d}"
        return self.root / "annotations" / folder / f"episode_{episode:08d}.json"

    def _place(self, episode: int, key: str) -> tuple[Path, int, bool]:
        entry = self._entry(episode)
        if key not in entry.videos:
            raise DataError(
                f"{self.root / 'meta/episodes'} does not place episode {episode} of camera "
                f"'{key}': {choices(key, entry.videos)}"
            )
        chunk, file, start, stop = entry.videos[key]
        path = self.root / layout.VIDEO_PATH_V30.format(
            video_key=key, chunk_index=chunk, file_index=file
        )
        rate = self.benchmark.frames_per_second
        first, frames = start * rate, (stop - start) * rate
        if abs(first - round(first)) > _ROUNDING or abs(frames - entry.length) > _ROUNDING:
            raise DataError(
                f"{self.root / 'meta/episodes'}: episode {episode} of '{key}' lasts from "
                f"{start:.4f} to {stop:.4f} s, {frames:.2f} frames; its table has {entry.length}"
            )
        return path, round(first), False

    def read_table(self, episode: int) -> Table:
        path = self.table_path(episode)
        if self._last is None or self._last[0] != path:
            # Neighbouring episodes share a file of some 100 MB: read it once.
            self._last = path, read_columns(path, self.widths)
        columns = self._last[1]
        if "episode_index" not in columns:
            raise DataError(f"{path} lacks the column episode_index")
        rows = np.flatnonzero(columns["episode_index"] == episode)
        if not len(rows):
            raise DataError(f"{path} has no rows of episode {episode}: it ends early, or is new")
        if rows[-1] - rows[0] + 1 != len(rows):
            raise DataError(f"{path}: the rows of episode {episode} do not stand together")
        pick = slice(int(rows[0]), int(rows[-1]) + 1)
        names = (*self.widths, layout.TIMESTAMP, *INTEGER_COLUMNS)
        mine = {name: columns[name][pick] for name in names if name in columns}
        check_rows(path, mine, episode, self.length(episode))
        return Table(mine[layout.ACTION], mine[layout.STATE], mine[layout.TIMESTAMP])
