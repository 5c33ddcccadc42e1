"""LeRobot v3.0 as the 2026 challenge ships it: a sample of the real layout, made at test time."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from synthetic_demonstrations import make_demonstration

from hearth.benchmark import Benchmark, load_benchmark
from hearth.cli import main
from hearth.core.errors import DataError
from hearth.core.results import Results
from hearth.core.settings import Settings, validate_settings
from hearth.data.frames import FrameReader
from hearth.data.lerobot import Dataset, DatasetWriter, open_dataset, write_index, write_v30
from hearth.data.lerobot.v21 import DatasetV21
from hearth.data.prepare import prepare_task
from hearth.data.room import estimate_experiment

RADIO, TRASH = "turning_on_radio", "picking_up_trash"
HEAD = "observation.rgb.zed_link_camera_0"


@pytest.fixture(scope="module")
def benchmark_2026() -> Benchmark:
    return load_benchmark("behavior-2026")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory, benchmark_2026: Benchmark) -> DatasetV21:
    """Five episodes of two tasks in v2.1, with the 61 numbers of the 2026 proprioception."""
    root = tmp_path_factory.mktemp("v21")
    writer = DatasetWriter(root, benchmark_2026)
    entries = []
    for task, lengths in {RADIO: [40, 33, 25], TRASH: [37, 21]}.items():
        for number, length in enumerate(lengths):
            demonstration = make_demonstration(benchmark_2026, task, length, number)
            entries.append(writer.write_episode(demonstration, number + 3))
    write_index(root, benchmark_2026, entries, image_size=64)
    return DatasetV21(root, benchmark_2026)


@pytest.fixture
def root(tmp_path: Path, original: DatasetV21) -> Path:
    path = tmp_path / "demos"
    write_v30(original, path, (TRASH, RADIO), frames_per_table=60, frames_per_video=80)
    return path


@pytest.fixture
def dataset(root: Path, benchmark_2026: Benchmark) -> Dataset:
    return open_dataset(root, benchmark_2026)


def edit(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    pq.write_table(change(pq.read_table(path)), path)


def column(table: pa.Table, name: str, values: list[Any]) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, pa.array(values))


INDEX = "meta/episodes/chunk-000/file-000.parquet"


def test_layout_of_the_challenge(root: Path) -> None:
    info = json.loads((root / "meta/info.json").read_text())
    assert info["codebase_version"] == "v3.0" and info["total_episodes"] == 5
    assert info["total_frames"] == 40 + 33 + 25 + 37 + 21
    assert info["features"]["observation.state"]["shape"] == [61]
    # A chunk per task; the second episode does not fit into 60 rows, but into 80 frames of video.
    names = sorted(path.relative_to(root).as_posix() for path in root.rglob("chunk-000/*.*"))
    videos = ("left_realsense_link", "right_realsense_link", "zed_link")
    expected = ["data/chunk-000/file-000.parquet", "data/chunk-000/file-001.parquet", INDEX]
    for video in videos:
        stem = f"videos/observation.rgb.{video}_camera_0/chunk-000"
        expected += [f"{stem}/file-000.mp4", f"{stem}/file-001.mp4"]
    assert names == expected
    assert (root / "annotations/task-0001/episode_00010030.json").is_file()
    rows = pq.read_table(root / INDEX).to_pylist()
    assert [row["raw_episode_id"] for row in rows] == [30, 40, 50]
    assert [row["data/file_index"] for row in rows] == [0, 1, 1]
    assert [row[f"videos/{HEAD}/file_index"] for row in rows] == [0, 0, 1]
    assert rows[1][f"videos/{HEAD}/from_timestamp"] == pytest.approx(40 / 30)


def test_reads_what_the_other_layout_reads(dataset: Dataset, original: DatasetV21) -> None:
    assert dataset.episodes(RADIO) == (0, 1, 2) and dataset.episodes(TRASH) == (3, 4)
    for task in (RADIO, TRASH):
        for old, new in zip(original.episodes(task), dataset.episodes(task), strict=True):
            before, after = original.read_table(old), dataset.read_table(new)
            np.testing.assert_array_equal(after.actions, before.actions)
            np.testing.assert_array_equal(after.proprioception, before.proprioception)
            np.testing.assert_allclose(after.timestamps, before.timestamps, atol=1e-5)
            for camera in dataset.benchmark.cameras:
                for every in (1, 7):
                    np.testing.assert_array_equal(
                        list(dataset.read_frames(new, camera, every)),
                        list(original.read_frames(old, camera, every)),
                    )
            assert dataset.annotation_path(new).read_bytes() == (
                original.annotation_path(old).read_bytes()
            )


def test_writing_again_changes_nothing_and_makes_good_what_is_missing(
    root: Path, original: DatasetV21
) -> None:
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*.mp4")}
    write_v30(original, root, (TRASH, RADIO), frames_per_table=60, frames_per_video=80)
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*.mp4")} == before
    (root / INDEX).unlink()  # killed before the task was finished
    write_v30(original, root, (TRASH, RADIO), frames_per_table=60, frames_per_video=80)
    assert (root / INDEX).is_file()


def settings_for(root: Path, tmp_path: Path, **data: Any) -> Settings:
    values = {
        "experiment": "unit",
        "results": str(tmp_path / "results"),
        "benchmark": "behavior-2026",
        "tasks": [RADIO, TRASH],
        "data": {"dataset": str(root), **data},
    }
    return validate_settings(values, source="test")


def test_both_layouts_prepare_to_the_same_episodes(
    root: Path, tmp_path: Path, original: DatasetV21
) -> None:
    new = settings_for(root, tmp_path / "new")
    old = settings_for(original.root, tmp_path / "old")
    assert prepare_task(new, RADIO)["frames"] == prepare_task(old, RADIO)["frames"] == 98
    one, two = (FrameReader(Results.of(s).episodes(RADIO)) for s in (new, old))
    for mine, theirs in ((0, 30), (1, 40), (2, 50)):
        np.testing.assert_array_equal(
            one.read_frames(mine, "left_wrist", range(25)),
            two.read_frames(theirs, "left_wrist", range(25)),
        )


def test_the_command_converts_what_the_experiment_reads(
    original: DatasetV21, tmp_path: Path, benchmark_2026: Benchmark
) -> None:
    file, target = tmp_path / "experiment.yaml", tmp_path / "converted"
    values = {
        "experiment": "unit", "results": str(tmp_path / "results"), "benchmark": "behavior-2026",
        "tasks": [RADIO, TRASH], "data": {"dataset": str(original.root)},
    }  # fmt: skip
    file.write_text(json.dumps(values))  # JSON is YAML
    assert main(["convert-data", "--config", str(file), "--target", str(target)]) == 0
    assert json.loads((target / "meta/info.json").read_text())["codebase_version"] == "v3.0"
    converted = open_dataset(target, benchmark_2026)
    for task, count in {RADIO: 3, TRASH: 2}.items():
        assert len(converted.episodes(task)) == count
        for old, new in zip(original.episodes(task), converted.episodes(task), strict=True):
            before, after = original.read_table(old), converted.read_table(new)
            np.testing.assert_array_equal(after.actions, before.actions)
            np.testing.assert_array_equal(after.proprioception, before.proprioception)
            np.testing.assert_array_equal(
                list(converted.read_frames(new, "head", 7)),
                list(original.read_frames(old, "head", 7)),
            )


def test_a_folder_per_task(original: DatasetV21, tmp_path: Path, benchmark_2026: Benchmark) -> None:
    folders = tmp_path / "b1k"
    for task in (RADIO, TRASH):
        write_v30(original, folders / task, (task,))
    settings = settings_for(folders, tmp_path)
    assert prepare_task(settings, TRASH)["episodes"] == 2
    assert open_dataset(folders, benchmark_2026, RADIO).episodes(RADIO) == (0, 1, 2)
    with pytest.raises(DataError, match=r"no data set of 'bringing_water': Valid: picking_up"):
        open_dataset(folders, benchmark_2026, "bringing_water")


def test_parts_of_the_set_are_enough(root: Path, tmp_path: Path, benchmark_2026: Benchmark) -> None:
    for path in [*root.rglob("chunk-000/*.*")]:
        path.unlink()
    for camera in ("left_realsense_link_camera_0", "right_realsense_link_camera_0"):
        for path in (root / f"videos/observation.rgb.{camera}").rglob("*.mp4"):
            path.unlink()
    dataset = open_dataset(root, benchmark_2026)
    assert dataset.episodes(TRASH) == (3, 4)
    assert len(list(dataset.read_frames(4, "head"))) == 21
    with pytest.raises(DataError, match=r"no episodes of 'turning_on_radio': .*picking_up_trash"):
        dataset.episodes(RADIO)
    with pytest.raises(DataError, match=r"left_realsense.*file-000.mp4 does not exist"):
        list(dataset.read_frames(4, "left_wrist"))


def test_a_task_of_the_index_that_was_not_fetched(
    root: Path, tmp_path: Path, benchmark_2026: Benchmark
) -> None:
    """The index names all tasks of the set; those without tables count for nothing."""
    shutil.rmtree(root / "data/chunk-000")
    with pytest.raises(DataError, match=r"no episodes of 'turning_on_radio': Valid: picking_up"):
        open_dataset(root, benchmark_2026).episodes(RADIO)
    assert estimate_experiment(settings_for(root, tmp_path), benchmark_2026).frames == 37 + 21


def test_names_of_tasks_as_pandas_leaves_them(root: Path, benchmark_2026: Benchmark) -> None:
    path = root / "meta/tasks.parquet"
    rows = pq.read_table(path)
    pq.write_table(rows.rename_columns(["task_index", "__index_level_0__"]), path)
    assert open_dataset(root, benchmark_2026).episodes(TRASH) == (3, 4)
    pq.write_table(rows.drop_columns(["task"]), path)
    with pytest.raises(DataError, match=r"tasks.parquet lacks the names of the tasks"):
        open_dataset(root, benchmark_2026).episodes(TRASH)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("length", [40.0, 33.0, 25.0], "'length' holds double, not whole numbers"),
        ("episode_index", [0, 1, 1], "episode 1 stands twice"),
        ("episode_index", [0, None, 2], "'episode_index' has 1 empty values"),
        ("tasks", [[RADIO], [RADIO, TRASH], [RADIO]], "row 1 names the tasks"),
        (f"videos/{HEAD}/from_timestamp", [0.0, None, 0.0], "row 1 places .* from None"),
    ],
)
def test_a_damaged_index_is_named(
    root: Path, benchmark_2026: Benchmark, name: str, values: list[Any], message: str
) -> None:
    edit(root / INDEX, lambda table: column(table, name, values))
    with pytest.raises(DataError, match=message):
        open_dataset(root, benchmark_2026).episodes(RADIO)


def test_places_must_agree_with_lengths(root: Path, benchmark_2026: Benchmark) -> None:
    name = f"videos/{HEAD}/to_timestamp"
    edit(root / INDEX, lambda table: column(table, name, [1.2, 73 / 30, 25 / 30]))
    dataset = open_dataset(root, benchmark_2026)
    with pytest.raises(DataError, match=r"36.00 frames; its table has 40"):
        dataset.video(0, "head")
    assert len(list(dataset.read_frames(1, "head"))) == 33
    edit(root / INDEX, lambda table: table.drop_columns([name]))
    with pytest.raises(DataError, match="does not place episode 0 of camera"):
        open_dataset(root, benchmark_2026).video(0, "head")


def test_files_that_end_early(root: Path, dataset: Dataset, original: DatasetV21) -> None:
    second = dataset.table_path(2)
    assert second.name == "file-001.parquet"
    edit(second, lambda table: table.slice(0, 50))
    with pytest.raises(DataError, match=r"has 17 rows; the index says 25 for episode 2"):
        dataset.read_table(2)
    assert len(dataset.read_table(1).actions) == 33, "other episodes of the file stay readable"
    edit(second, lambda table: table.slice(0, 33))
    fresh = open_dataset(root, dataset.benchmark)
    with pytest.raises(DataError, match=r"has no rows of episode 2"):
        fresh.read_table(2)
    # The video of the first episode alone, where two are due.
    dataset.video_path(1, "head").write_bytes(original.video_path(30, "head").read_bytes())
    assert len(list(dataset.read_frames(0, "head"))) == 40
    with pytest.raises(DataError, match=r"file-000.mp4 (ends early: 0 of|cannot be)"):
        list(dataset.read_frames(1, "head"))
    video = dataset.video_path(0, "left_wrist")
    video.write_bytes(video.read_bytes()[:3000])
    with pytest.raises(DataError, match=r"file-000.mp4 cannot be"):
        list(dataset.read_frames(0, "left_wrist"))


def test_a_video_that_starts_late(root: Path, dataset: Dataset) -> None:
    """Frames of another episode are never taken for this one's."""
    name = f"videos/{HEAD}/from_timestamp"
    stop = f"videos/{HEAD}/to_timestamp"
    edit(root / INDEX, lambda table: column(table, name, [0.0, 60 / 30, 0.0]))
    edit(root / INDEX, lambda table: column(table, stop, [40 / 30, 93 / 30, 25 / 30]))
    with pytest.raises(DataError, match=r"ends early: 13 of the episode's 33 frames"):
        list(open_dataset(root, dataset.benchmark).read_frames(1, "head"))


def test_wrong_size_and_codec(root: Path, dataset: Dataset) -> None:
    path = root / "meta/info.json"
    info = json.loads(path.read_text())
    info["features"][HEAD]["shape"] = [720, 720, 3]
    path.write_text(json.dumps(info))
    with pytest.raises(DataError, match=r"64x64 pixels; info.json says 720x720"):
        list(open_dataset(root, dataset.benchmark).read_frames(0, "head"))
    info["features"][HEAD] |= {"shape": [64, 64, 3], "info": {"video.codec": "libx265"}}
    path.write_text(json.dumps(info))
    with pytest.raises(DataError, match=r"coded as h264; info.json says libx265"):
        list(open_dataset(root, dataset.benchmark).read_frames(0, "head"))
    del info["features"][HEAD]
    path.write_text(json.dumps(info))
    with pytest.raises(DataError, match=r"no camera 'observation.rgb.zed_link_camera_0': .*Valid"):
        list(open_dataset(root, dataset.benchmark).read_frames(0, "head"))


def test_bad_episodes_are_quarantined_alone(root: Path, tmp_path: Path) -> None:
    edit(root / "data/chunk-000/file-001.parquet", lambda table: table.slice(0, 50))
    settings = settings_for(root, tmp_path, allowed_bad_fraction=0.4)
    marker = prepare_task(settings, RADIO)
    assert marker["episodes"] == 2
    found = json.loads(Results.of(settings).quarantine(RADIO).read_text())
    assert [bad["episode_index"] for bad in found["bad"]] == [2]
    assert "the index says 25" in found["bad"][0]["reason"]
