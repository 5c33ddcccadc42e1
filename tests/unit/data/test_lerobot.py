"""The LeRobot layout: what is written is read back, and faults are named."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.benchmark import Benchmark
from hearth.core.errors import DataError
from hearth.data.lerobot import Dataset, DatasetWriter, layout, open_dataset, write_index
from hearth.data.lerobot.video import encode_video
from hearth.data.lerobot.writer import annotation

RADIO, TRASH = "turning_on_radio", "picking_up_trash"
Maker = Callable[..., Any]


@pytest.fixture
def dataset(make_dataset: Maker, benchmark_facts: Benchmark) -> Dataset:
    return open_dataset(make_dataset().data.dataset or "", benchmark_facts)


def test_round_trip(dataset: Dataset, benchmark_facts: Benchmark, demonstration_of: Maker) -> None:
    demonstration = demonstration_of(RADIO, 33, seed=1)
    assert dataset.episodes(RADIO) == (0, 10)
    assert dataset.episodes(TRASH) == (10_000,)
    table = dataset.read_table(10)
    assert table.actions.dtype == np.float32
    np.testing.assert_array_equal(table.actions, demonstration.actions)
    np.testing.assert_array_equal(table.proprioception, demonstration.proprioception)
    np.testing.assert_allclose(table.timestamps, np.arange(33) / 30, atol=1e-12)
    for camera, frames in demonstration.frames.items():
        read = np.stack(list(dataset.read_frames(10, camera)))
        assert read.shape == frames.shape and read.dtype == np.uint8
        error = np.abs(read.astype(int) - frames.astype(int)).mean()
        assert error < 6.0, f"{camera} loses {error} grey levels to compression"


def test_every_nth_frame_is_the_same_frame(dataset: Dataset) -> None:
    whole = list(dataset.read_frames(0, "head"))
    some = list(dataset.read_frames(0, "head", every=7))
    np.testing.assert_array_equal(some, whole[::7])


def test_layout_of_the_challenge(dataset: Dataset) -> None:
    root = dataset.root
    assert (root / "data/task-0001/episode_00010000.parquet").is_file()
    assert (root / "videos/task-0000/observation.images.rgb.head/episode_00000010.mp4").is_file()
    info = json.loads((root / "meta/info.json").read_text())
    assert info["codebase_version"] == "v2.1"
    assert info["total_episodes"] == 3 and info["total_frames"] == 110
    assert info["features"]["observation.state"]["shape"] == [256]
    assert info["features"]["observation.images.rgb.left_wrist"]["shape"] == [64, 64, 3]
    path = info["video_path"].format(
        episode_chunk=1, episode_index=10_000, video_key="observation.images.rgb.right_wrist"
    )
    assert (root / path).is_file()
    lines = (root / "meta/episodes.jsonl").read_text().splitlines()
    assert [json.loads(line)["length"] for line in lines] == [40, 33, 37]
    stats = (root / "meta/episodes_stats.jsonl").read_text().splitlines()
    assert json.loads(stats[2])["stats"]["action"]["count"] == [37]
    segments = json.loads((root / "annotations/task-0000/episode_00000000.json").read_text())
    assert [s["frame_duration"] for s in segments["skill_annotation"]] == [
        [0, 14],
        [14, 27],
        [27, 40],
    ]


def test_same_demonstration_same_bytes(
    tmp_path: Path, benchmark_facts: Benchmark, demonstration_of: Maker
) -> None:
    demonstration = demonstration_of(RADIO, 20, seed=0)
    for name in ("one", "two"):
        DatasetWriter(tmp_path / name, benchmark_facts).write_episode(demonstration, 0)
    files = sorted(p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*.*"))
    assert len([f for f in files if (tmp_path / "one" / f).is_file()]) == 6
    for file in files:
        if (tmp_path / "one" / file).is_file():
            assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_a_moving_picture_gives_the_same_bytes_whatever_memory_held_before(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    picture = np.kron(random.integers(0, 256, (24, 24, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    frames = np.stack([picture[n : n + 64, 2 * n : 2 * n + 64] for n in range(50)])
    contents, other = set(), []
    for number in range(20):
        # Encoders read beyond their buffers; what lies there must not matter.
        other = [*other[-10:], random.bytes(10_000 * number)]
        encode_video(tmp_path / "video.mp4", frames, 30)
        contents.add((tmp_path / "video.mp4").read_bytes())
    assert len(contents) == 1


def test_existing_episodes_are_known(
    tmp_path: Path, benchmark_facts: Benchmark, demonstration_of: Maker
) -> None:
    writer = DatasetWriter(tmp_path, benchmark_facts)
    assert writer.entry(RADIO, 3) is None
    entry = writer.write_episode(demonstration_of(RADIO, 12, seed=4), 3)
    assert writer.entry(RADIO, 3) == entry
    assert entry["episode_index"] == 30 and entry["length"] == 12 and entry["instance_id"] == 5
    writer.discard_task(TRASH)
    assert writer.entry(RADIO, 3) == entry, "other tasks stay"
    # Killed before the table was written: everything else is there, and the episode is not.
    (tmp_path / "data/task-0000/episode_00000030.parquet").unlink()
    assert writer.entry(RADIO, 3) is None
    assert list(tmp_path.rglob("*.mp4"))
    writer.discard_task(RADIO)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@given(st.lists(st.integers(0, 9_999), unique=True, max_size=50), st.integers(0, 99))
def test_episode_indices_are_unique_and_know_their_task(numbers: list[int], task: int) -> None:
    indices = [layout.episode_index(task, number) for number in numbers]
    assert len(set(indices)) == len(numbers)
    assert all(layout.task_index_of(index) == task for index in indices)
    assert all(len(f"{index:08d}") == 8 for index in indices)


def test_episode_number_outside_the_layout() -> None:
    with pytest.raises(DataError, match=r"10000.*valid numbers are 0 to 9999"):
        layout.episode_index(0, 10_000)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=40))
def test_annotation_covers_every_frame_once(stages: list[int]) -> None:
    segments = annotation(RADIO, np.array(stages))["skill_annotation"]
    rebuilt = []
    for segment in segments:
        start, stop = segment["frame_duration"]
        assert start == len(rebuilt) and stop > start
        rebuilt += segment["skill_id"] * (stop - start)
    assert rebuilt == stages


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: {"actions": d.actions[:, :22]}, r"action is \(20, 22\).*\(20, 23\)"),
        (lambda d: {"proprioception": d.proprioception * np.nan}, "state is not finite"),
        (lambda d: {"frames": {"head": d.frames["head"]}}, "left_wrist has 0 frames of 20"),
        (lambda d: {"expert_stages": d.expert_stages[:5]}, "expert_stages has 5 frames of 20"),
    ],
)
def test_bad_demonstrations_are_refused(
    tmp_path: Path, benchmark_facts: Benchmark, demonstration_of: Maker, change, message: str
) -> None:
    good = demonstration_of(RADIO, 20, seed=0)
    with pytest.raises(DataError, match=message):
        DatasetWriter(tmp_path, benchmark_facts).write_episode(
            dataclasses.replace(good, **change(good)), 0
        )
    assert not list(tmp_path.rglob("*.parquet"))


def test_index_refuses_double_and_missing_episodes(
    tmp_path: Path, benchmark_facts: Benchmark, demonstration_of: Maker
) -> None:
    writer = DatasetWriter(tmp_path, benchmark_facts)
    entry = writer.write_episode(demonstration_of(RADIO, 12, seed=0), 0)
    with pytest.raises(DataError, match=r"twice: \[0\]"):
        write_index(tmp_path, benchmark_facts, [entry, entry], image_size=64)
    with pytest.raises(DataError, match=r"episode_00000010.parquet does not exist"):
        write_index(
            tmp_path, benchmark_facts, [entry, {**entry, "episode_index": 10}], image_size=64
        )
    with pytest.raises(DataError, match="at least one episode"):
        write_index(tmp_path, benchmark_facts, [], image_size=64)
    assert not (tmp_path / "meta/info.json").exists()


def test_another_robot_layout_is_refused(dataset: Dataset, benchmark_facts: Benchmark) -> None:
    path = dataset.root / "meta/info.json"
    info = json.loads(path.read_text())
    info["features"]["observation.state"]["shape"] = [61]
    path.write_text(json.dumps(info))
    with pytest.raises(DataError, match=r"shape \[61\].*r1pro.*another robot layout"):
        open_dataset(dataset.root, benchmark_facts)
    info["codebase_version"] = "v2.0"
    path.write_text(json.dumps(info))
    with pytest.raises(DataError, match=r"codebase_version is 'v2.0'.*Valid: v2.1, v3.0"):
        open_dataset(dataset.root, benchmark_facts)


def test_missing_parts_are_named(dataset: Dataset, benchmark_facts: Benchmark) -> None:
    with pytest.raises(DataError, match=r"no episodes of 'bringing_water'.*Valid: picking_up"):
        dataset.episodes("bringing_water")
    dataset.video_path(0, "head").unlink()
    with pytest.raises(DataError, match=r"rgb.head/episode_00000000.mp4 does not exist"):
        list(dataset.read_frames(0, "head"))
    assert len(list(dataset.read_frames(0, "left_wrist"))) == 40, "other cameras stay readable"
    dataset.table_path(0).unlink()
    with pytest.raises(DataError, match=r"episode_00000000.parquet does not exist"):
        dataset.read_table(0)
    with pytest.raises(DataError, match=r"info.json does not exist"):
        open_dataset(dataset.root / "elsewhere", benchmark_facts)


@pytest.mark.parametrize("part", [0.0, 0.3, 0.9])
def test_truncated_files_are_named(dataset: Dataset, part: float) -> None:
    for path in (dataset.video_path(0, "head"), dataset.table_path(0)):
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(DataError, match=r"episode_00000000.mp4"):
        list(dataset.read_frames(0, "head"))
    with pytest.raises(DataError, match=r"episode_00000000.parquet cannot be read"):
        dataset.read_table(0)


def test_counts_must_agree(dataset: Dataset) -> None:
    dataset.video_path(0, "head").write_bytes(dataset.video_path(10, "head").read_bytes())
    with pytest.raises(DataError, match="has 33 frames; its table has 40 rows"):
        list(dataset.read_frames(0, "head"))
    dataset.table_path(0).write_bytes(dataset.table_path(10).read_bytes())
    with pytest.raises(DataError, match=r"33 rows; the index says 40"):
        dataset.read_table(0)


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("action", [[0.0] * 22] * 40, r"rows of 'action' have \{22\} numbers; needed are 23"),
        ("action", [["a"] * 23] * 40, "holds string, not numbers"),
        ("action", [[None] * 23] * 40, "not numbers|empty values"),
        ("action", [0.0] * 40, "not a list of 23 numbers"),
        ("timestamp", [None, *[0.0] * 39], "1 empty values"),
    ],
)
def test_odd_columns_are_named(dataset: Dataset, column: str, values: list, message: str) -> None:
    path = dataset.table_path(0)
    table = pq.read_table(path)
    position = table.column_names.index(column)
    pq.write_table(table.set_column(position, column, pa.array(values)), path)
    with pytest.raises(DataError, match=message):
        dataset.read_table(0)
    pq.write_table(table.drop_columns([column]), path)
    with pytest.raises(DataError, match=f"lacks the columns {column}"):
        dataset.read_table(0)
