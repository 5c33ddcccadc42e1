"""Names and numbers of the layouts: paths, columns, episode indices.

v2.1 as published for the BEHAVIOR challenge 2025: the digits of an episode index are TTTTIIIR
(task, instance, repetition), and the index is the file's name. v3.0 as published for 2026: a chunk
of files per task, episodes numbered through.
"""

from __future__ import annotations

from pathlib import Path

from hearth.core.errors import DataError

CODEBASE_VERSION = "v2.1"
EPISODES_PER_TASK = 10_000  # room for episode indices per task; LeRobot's "chunks_size"

DATA_PATH = "data/task-{episode_chunk:04d}/episode_{episode_index:08d}.parquet"
VIDEO_PATH = "videos/task-{episode_chunk:04d}/{video_key}/episode_{episode_index:08d}.mp4"
METAINFO_PATH = "meta/episodes/task-{episode_chunk:04d}/episode_{episode_index:08d}.json"
ANNOTATION_PATH = "annotations/task-{episode_chunk:04d}/episode_{episode_index:08d}.json"

CODEBASE_VERSION_V30 = "v3.0"
DATA_PATH_V30 = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_PATH_V30 = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
EPISODES_PATH_V30 = "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"

ACTION = "action"
STATE = "observation.state"
TIMESTAMP = "timestamp"


def episode_index(task_index: int, number: int) -> int:
    """The index of a task's `number`-th recording, number in [0, 10000).

    Numbers below 1000 fill the instance digits and leave the repetition at 0, as in the challenge
    set; further thousands count the repetition up.

    Raises:
        DataError: the number does not fit into four digits.
    """
    if not 0 <= number < EPISODES_PER_TASK:
        raise DataError(
            f"episode number {number} does not fit the layout; "
            f"valid numbers are 0 to {EPISODES_PER_TASK - 1} per task"
        )
    repetition, instance = divmod(number, 1000)
    return task_index * EPISODES_PER_TASK + instance * 10 + repetition


def task_name(text: object) -> str:
    """A task as data sets write it ("turning on radio") -> its name ("turning_on_radio")."""
    return str(text).replace(" ", "_")


def task_index_of(episode: int) -> int:
    """The task index inside an episode index."""
    return episode // EPISODES_PER_TASK


def episode_path(root: Path, template: str, episode: int, video_key: str = "") -> Path:
    """Fill one of the path templates for an episode."""
    return root / template.format(
        episode_chunk=task_index_of(episode), episode_index=episode, video_key=video_key
    )
