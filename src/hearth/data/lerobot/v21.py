"""LeRobot v2.1 as the 2025 challenge has it: a folder per task, a table and mp4s per episode."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any

from hearth.benchmark import Benchmark
from hearth.core.errors import DataError, choices
from hearth.data.lerobot import layout
from hearth.data.lerobot.dataset import Dataset
from hearth.data.lerobot.tables import Table, check_rows, read_columns


class DatasetV21(Dataset):
    """Reads the layout of the 2025 challenge, real or embedded."""

    version = layout.CODEBASE_VERSION

    def __init__(self, root: Path | str, benchmark: Benchmark) -> None:
        super().__init__(root, benchmark)
        if self.info.get("chunks_size") != layout.EPISODES_PER_TASK:
            raise DataError(
                f"{self.root / 'meta/info.json'}: chunks_size is {self.info.get('chunks_size')!r}; "
                f"needed is {layout.EPISODES_PER_TASK}"
            )

    @cached_property
    def _lengths(self) -> dict[int, int]:
        path = self.root / "meta" / "episodes.jsonl"
        lengths: dict[int, int] = {}
        for number, row in enumerate(_read_lines(path), start=1):
            episode = _integer(path, number, row, "episode_index")
            if episode in lengths:
                raise DataError(f"{path}, line {number}: episode {episode} stands twice")
            lengths[episode] = _integer(path, number, row, "length")
        return lengths

    def episodes(self, task: str) -> tuple[int, ...]:
        index = self.benchmark.task(task).index
        path = self.root / "meta" / "tasks.jsonl"
        names = {
            _integer(path, line, row, "task_index"): layout.task_name(
                row.get("task_name", row.get("task"))
            )
            for line, row in enumerate(_read_lines(path), start=1)
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

    def length(self, episode: int) -> int:
        if episode not in self._lengths:
            raise DataError(f"{self.root / 'meta/episodes.jsonl'} has no episode {episode}")
        return self._lengths[episode]

    def table_path(self, episode: int) -> Path:
        return layout.episode_path(self.root, layout.DATA_PATH, episode)

    def annotation_path(self, episode: int) -> Path:
        return layout.episode_path(self.root, layout.ANNOTATION_PATH, episode)

    def _place(self, episode: int, key: str) -> tuple[Path, int, bool]:
        return layout.episode_path(self.root, layout.VIDEO_PATH, episode, key), 0, True

    def read_table(self, episode: int) -> Table:
        path = self.table_path(episode)
        columns = read_columns(path, self.widths)
        check_rows(path, columns, episode, self.length(episode))
        return Table(columns[layout.ACTION], columns[layout.STATE], columns[layout.TIMESTAMP])


def _integer(path: Path, line: int, row: dict[str, Any], key: str) -> int:
    value = row.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise DataError(f"{path}, line {line}: {key} is {value!r}, not a whole number")
    return value


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
