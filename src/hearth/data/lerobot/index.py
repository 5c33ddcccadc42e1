"""The meta files of a data set: info.json, episodes.jsonl, tasks.jsonl, episodes_stats.jsonl."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from hearth.benchmark import Benchmark
from hearth.core.errors import DataError
from hearth.core.files import write_json, write_text
from hearth.data.lerobot import layout
from hearth.data.lerobot.tables import read_columns
from hearth.data.lerobot.video import PIXEL_FORMAT


def write_index(
    root: Path | str,
    benchmark: Benchmark,
    entries: Iterable[dict[str, Any]],
    *,
    image_size: int,
) -> None:
    """Write the meta files over the entries of all tasks; info.json last, so it marks completion.

    Args:
        entries: what `DatasetWriter.write_episode` returned, in any order.
        image_size: width and height of all images, pixels.

    Raises:
        DataError: no entries, a double episode, or a missing or damaged table.
    """
    root = Path(root)
    ordered = sorted(entries, key=lambda entry: entry["episode_index"])
    if not ordered:
        raise DataError(f"{root}: an index needs at least one episode")
    indices = [entry["episode_index"] for entry in ordered]
    if len(set(indices)) != len(indices):
        double = sorted({index for index in indices if indices.count(index) > 1})
        raise DataError(f"{root}: episode indices stand twice: {double}")
    width_of = {
        layout.STATE: benchmark.robot.proprioception_width,
        layout.ACTION: benchmark.robot.action_width,
    }
    tasks = [
        {"task_index": task.index, "task_name": task.name, "task": task.name.replace("_", " ")}
        for task in sorted(benchmark.tasks, key=lambda task: task.index)
    ]
    episodes, stats = [], []
    for entry in ordered:
        path = layout.episode_path(root, layout.DATA_PATH, entry["episode_index"])
        columns = read_columns(path, width_of)
        episodes.append({**entry, "tasks": [entry["task"].replace("_", " ")]})
        stats.append(
            {
                "episode_index": entry["episode_index"],
                "stats": {name: _summary(columns[name]) for name in (*width_of, layout.TIMESTAMP)},
            }
        )
    _write_lines(root / "meta" / "tasks.jsonl", tasks)
    _write_lines(root / "meta" / "episodes.jsonl", episodes)
    _write_lines(root / "meta" / "episodes_stats.jsonl", stats)
    write_json(root / "meta" / "info.json", dataset_info(benchmark, ordered, image_size))


def _summary(values: np.ndarray) -> dict[str, list[float]]:
    values = values.reshape(len(values), -1).astype(np.float64)
    return {
        "min": values.min(0).tolist(),
        "max": values.max(0).tolist(),
        "mean": values.mean(0).tolist(),
        "std": values.std(0).tolist(),
        "count": [len(values)],
    }


def _write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    write_text(path, "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows))


def dataset_info(benchmark: Benchmark, entries: list[dict[str, Any]], size: int) -> dict[str, Any]:
    """The content of `meta/info.json`.

    Args:
        benchmark: of the data set.
        entries: of each episode at least its `task` and its `length` in frames.
        size: pixels of the square videos.
    """

    def column(dtype: str, width: int) -> dict[str, Any]:
        return {"dtype": dtype, "shape": [width], "names": None}

    fps = benchmark.frames_per_second
    video = {
        "dtype": "video",
        "shape": [size, size, 3],
        "names": ["height", "width", "rgb"],
        "info": {
            "video.fps": float(fps),
            "video.height": size,
            "video.width": size,
            "video.channels": 3,
            "video.codec": "h264",
            "video.pix_fmt": PIXEL_FORMAT,
            "video.is_depth_map": False,
            "has_audio": False,
        },
    }
    features = {
        **{camera.dataset_key: video for camera in benchmark.cameras.values()},
        layout.ACTION: column("float32", benchmark.robot.action_width),
        layout.STATE: column("float32", benchmark.robot.proprioception_width),
        layout.TIMESTAMP: column("float64", 1),
        "episode_index": column("int64", 1),
        "index": column("int64", 1),
        "task_index": column("int64", 1),
    }
    tasks = {entry["task"] for entry in entries}
    return {
        "codebase_version": layout.CODEBASE_VERSION,
        "robot_type": benchmark.robot.name,
        "total_episodes": len(entries),
        "total_frames": sum(entry["length"] for entry in entries),
        "total_tasks": len(tasks),
        "total_videos": len(entries) * len(benchmark.cameras),
        "total_chunks": len(tasks),
        "chunks_size": layout.EPISODES_PER_TASK,
        "fps": fps,
        "splits": {"train": f"0:{len(entries)}"},
        "data_path": layout.DATA_PATH,
        "video_path": layout.VIDEO_PATH,
        "metainfo_path": layout.METAINFO_PATH,
        "annotation_path": layout.ANNOTATION_PATH,
        "features": features,
    }
