"""Write a LeRobot v3.0 data set, in the layout of the 2026 challenge, from one of v2.1.

A chunk of files per task; in it, episodes follow each other in tables and mp4s up to a number of
frames. Video packets are taken over as they are. The scripted experts record v2.1, an episode at a
time, because only that can be interrupted after any episode; this makes v3.0 of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hearth.core.errors import DataError
from hearth.core.files import atomic_path, write_json
from hearth.core.progress import progress
from hearth.data.lerobot import layout
from hearth.data.lerobot.concatenation import concatenate_videos
from hearth.data.lerobot.tables import Table, read_parquet
from hearth.data.lerobot.v21 import DatasetV21
from hearth.data.lerobot.writer import list_column

FRAMES_PER_FILE = 80_000  # as in the 2026 set: some 100 MB of table, some 200 MB of a camera's mp4


def write_v30(
    source: DatasetV21,
    root: Path | str,
    tasks: Sequence[str],
    *,
    frames_per_table: int = FRAMES_PER_FILE,
    frames_per_video: int = FRAMES_PER_FILE,
) -> None:
    """Write `tasks` of `source` below `root`; tasks that are there already are left as they are.

    Episodes are numbered through, task after task; `raw_episode_id` keeps the source's number.

    Args:
        frames_per_table: begin a new table file where it would grow beyond.
        frames_per_video: the same for every camera's mp4s.

    Raises:
        DataError: an episode of the source is missing or damaged.
    """
    root = Path(root)
    names = sorted(tasks, key=lambda name: source.benchmark.task(name).index)
    numbered = list(_number(source, names))
    with progress("writing v3.0", len(numbered)) as advance:
        for task in names:
            mine = [row for row in numbered if row["tasks"] == [task]]
            path = _index_path(root, source, task)
            if not _is_written(path, mine):
                _write_tables(source, root, mine, frames_per_table)
                _write_videos(source, root, mine, frames_per_video)
                _write_parquet(path, pa.Table.from_pylist(mine))
            advance(len(mine))
    _write_meta(source, root, names, numbered)


def _number(source: DatasetV21, tasks: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The index rows without their places."""
    index = frames = 0
    for task in tasks:
        for order, episode in enumerate(source.episodes(task)):
            length = source.length(episode)
            path = source.annotation_path(episode)
            yield {
                "episode_index": index,
                "tasks": [task],
                "length": length,
                "dataset_from_index": frames,
                "dataset_to_index": frames + length,
                "task_index": source.benchmark.task(task).index,
                "demo_index_within_task": order,
                "raw_episode_id": episode,
                "annotation_path": path.relative_to(source.root).as_posix(),
            }
            index, frames = index + 1, frames + length


def _index_path(root: Path, source: DatasetV21, task: str) -> Path:
    chunk = source.benchmark.task(task).index
    return root / layout.EPISODES_PATH_V30.format(chunk_index=chunk, file_index=0)


def _is_written(path: Path, rows: list[dict[str, Any]]) -> bool:
    if not path.is_file():
        return False
    keys = ["episode_index", "raw_episode_id", "length"]
    found = read_parquet(path, keys).to_pylist()
    return found == [{key: row[key] for key in keys} for row in rows]


def _files(rows: list[dict[str, Any]], limit: int) -> list[list[dict[str, Any]]]:
    """Rows in order, cut where a file would grow beyond `limit` frames."""
    files: list[list[dict[str, Any]]] = [[]]
    for row in rows:
        if files[-1] and sum(r["length"] for r in files[-1]) + row["length"] > limit:
            files.append([])
        files[-1].append(row)
    return files


def _write_tables(source: DatasetV21, root: Path, rows: list[dict[str, Any]], limit: int) -> None:
    for file_index, members in enumerate(_files(rows, limit)):
        chunk = members[0]["task_index"]
        tables = []
        for row in members:
            table = source.read_table(row["raw_episode_id"])
            tables.append(_rows_of(row, table))
            row["data/chunk_index"], row["data/file_index"] = chunk, file_index
        name = layout.DATA_PATH_V30.format(chunk_index=chunk, file_index=file_index)
        _write_parquet(root / name, pa.concat_tables(tables))
        for row in members:
            path = root / row["annotation_path"]
            annotation = source.annotation_path(row["raw_episode_id"])
            if annotation.is_file():
                with atomic_path(path) as temporary:
                    temporary.write_bytes(annotation.read_bytes())


def _rows_of(row: dict[str, Any], table: Table) -> pa.Table:
    length = row["length"]
    frames = np.arange(length, dtype=np.int64)
    return pa.table(
        {
            layout.STATE: list_column(table.proprioception),
            layout.ACTION: list_column(table.actions),
            layout.TIMESTAMP: table.timestamps.astype(np.float32),
            "frame_index": frames,
            "episode_index": np.full(length, row["episode_index"], dtype=np.int64),
            "index": frames + row["dataset_from_index"],
            "task_index": np.full(length, row["task_index"], dtype=np.int64),
        }
    )


def _write_videos(source: DatasetV21, root: Path, rows: list[dict[str, Any]], limit: int) -> None:
    rate = source.benchmark.frames_per_second
    for camera, facts in source.benchmark.cameras.items():
        key = facts.dataset_key
        for file_index, members in enumerate(_files(rows, limit)):
            chunk = members[0]["task_index"]
            spans = [source.video(row["raw_episode_id"], camera) for row in members]
            name = layout.VIDEO_PATH_V30.format(
                video_key=key, chunk_index=chunk, file_index=file_index
            )
            concatenate_videos(root / name, spans)
            first = 0
            for row in members:
                row[f"videos/{key}/chunk_index"] = chunk
                row[f"videos/{key}/file_index"] = file_index
                row[f"videos/{key}/from_timestamp"] = first / rate
                first += row["length"]
                row[f"videos/{key}/to_timestamp"] = first / rate


def _write_parquet(path: Path, table: pa.Table) -> None:
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary)


def _write_meta(
    source: DatasetV21, root: Path, tasks: Sequence[str], rows: list[dict[str, Any]]
) -> None:
    """tasks.parquet, stats.json and, last, info.json."""
    if not rows:
        raise DataError(f"{source.root} has no episodes to write to {root}")
    indices = [source.benchmark.task(task).index for task in tasks]
    table = pa.table({"task_index": pa.array(indices, pa.int64()), "task": list(tasks)})
    _write_parquet(
        root / "meta" / "tasks.parquet", table.replace_schema_metadata(_named_index("task"))
    )
    write_json(root / "meta" / "stats.json", _statistics(source, rows))
    features = dict(source.info["features"])
    features["frame_index"] = {"dtype": "int64", "shape": [1], "names": None}
    features[layout.TIMESTAMP] = {"dtype": "float32", "shape": [1], "names": None}
    write_json(
        root / "meta" / "info.json",
        {
            "codebase_version": layout.CODEBASE_VERSION_V30,
            "robot_type": source.info.get("robot_type"),
            "total_episodes": len(rows),
            "total_frames": rows[-1]["dataset_to_index"],
            "total_tasks": len(tasks),
            "chunks_size": 1000,
            "fps": source.info["fps"],
            "splits": {"train": f"0:{len(rows)}"},
            "data_path": layout.DATA_PATH_V30,
            "video_path": layout.VIDEO_PATH_V30,
            "features": features,
        },
    )


def _named_index(name: str) -> dict[str, str]:
    """What makes pandas, and so lerobot, read column `name` as the table's index."""
    columns = [
        {"name": column, "field_name": column, "pandas_type": kind, "numpy_type": numpy,
         "metadata": None}
        for column, kind, numpy in (("task_index", "int64", "int64"), (name, "unicode", "object"))
    ]  # fmt: skip
    labels = [{"name": None, "field_name": None, "pandas_type": "unicode", "numpy_type": "object",
               "metadata": {"encoding": "UTF-8"}}]  # fmt: skip
    facts = {"index_columns": [name], "column_indexes": labels, "columns": columns}
    return {"pandas": json.dumps(facts)}


def _statistics(source: DatasetV21, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Least, greatest, mean, deviation and count of every number, over all episodes."""
    sums: dict[str, list[Any]] = {}
    for row in rows:
        table = source.read_table(row["raw_episode_id"])
        for name, values in ((layout.ACTION, table.actions), (layout.STATE, table.proprioception)):
            values = values.astype(np.float64)
            found = [values.min(0), values.max(0), values.sum(0), (values**2).sum(0), len(values)]
            old = sums.get(name)
            if old is not None:
                found = [np.minimum(old[0], found[0]), np.maximum(old[1], found[1]),
                         *(a + b for a, b in zip(old[2:], found[2:], strict=True))]  # fmt: skip
            sums[name] = found
    return {
        name: {
            "min": low.tolist(),
            "max": high.tolist(),
            "mean": (total / count).tolist(),
            "std": np.sqrt(np.maximum(squares / count - (total / count) ** 2, 0.0)).tolist(),
            "count": [count],
        }
        for name, (low, high, total, squares, count) in sums.items()
    }
