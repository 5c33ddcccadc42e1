"""Preparing bad episodes: verification, quarantine, disk, and what is held out."""

from __future__ import annotations

import json
import re
import shutil
import threading
from pathlib import Path
from typing import Any

import av
import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from prepare_setup import RADIO, TRASH, Maker, change, count_episodes, dataset_of

from hearth.benchmark import Benchmark
from hearth.cli import main
from hearth.core import locks
from hearth.core.errors import DataError
from hearth.core.results import Results
from hearth.core.settings import Settings
from hearth.data.estimate import estimate
from hearth.data.lerobot.video import encode_video
from hearth.data.prepare import prepare_task


def write_mpeg4(path: Path) -> None:
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(33):
            container.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        container.mux(stream.encode())


def spoil(settings: Settings, benchmark: Benchmark, fault: str) -> None:
    """Damage episode 10."""
    dataset = dataset_of(settings, benchmark)
    video, path = dataset.video_path(10, "left_wrist"), dataset.table_path(10)
    table = pq.read_table(path)

    def replace(column: str, values: np.ndarray) -> None:
        position = table.column_names.index(column)
        pq.write_table(table.set_column(position, column, pa.array(values.tolist())), path)

    actions = np.stack(table["action"].to_pylist())
    if fault == "no video":
        video.unlink()
    elif fault == "cut video":
        video.write_bytes(video.read_bytes()[:-200])
    elif fault == "cut table":
        path.write_bytes(path.read_bytes()[:-20])
    elif fault == "short video":
        video.write_bytes(dataset.video_path(0, "left_wrist").read_bytes())
    elif fault == "nan":
        actions[7, 3] = np.nan
        replace("action", actions)
    elif fault == "limit":
        actions[5, 14] = 1.5
        replace("action", actions)
    elif fault == "other size":
        encode_video(video, np.zeros((33, 32, 32, 3), np.uint8), 30)
    elif fault == "other codec":
        write_mpeg4(video)
    elif fault == "no mp4":
        video.write_bytes(b"an error page of a proxy")
    elif fault == "float index":
        replace("episode_index", np.full(33, 10.0))
    elif fault == "other episode":
        replace("episode_index", np.arange(33) // 30 + 10)
    elif fault == "uneven":
        replace("timestamp", np.arange(33) / 30 + (np.arange(33) > 9) * 0.02)
    else:
        raise AssertionError(fault)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("no video", r"left_wrist/episode_00000010.mp4 does not exist"),
        ("cut video", r"left_wrist/episode_00000010.mp4"),
        ("cut table", r"episode_00000010.parquet cannot be read"),
        ("short video", r"has (40|34) frames; its table has 33 rows"),
        ("nan", r"action\[7, 3\] is nan; 1 values are not finite"),
        ("other size", r"left_wrist/.*mp4 is 32x32 pixels; info.json says 64x64"),
        ("other codec", r"left_wrist/.*mp4 is coded as mpeg4; info.json says h264"),
        ("no mp4", r"left_wrist/.*mp4 cannot be opened as a video"),
        ("float index", r"column 'episode_index' holds double, not whole numbers"),
        ("other episode", r"holds rows of episode 11, not 10"),
        ("limit", r"action\[5, 14\] \(left_gripper\) is 1.5000; limits are -1.0000 to 1.0000"),
        ("uneven", r"unevenly: 0.053333 s from row 9 to 10, needed is 0.033333"),
    ],
)
def test_bad_episodes_fail_or_are_listed(
    make_dataset: Maker,
    benchmark_facts: Benchmark,
    capsys: pytest.CaptureFixture[str],
    fault: str,
    message: str,
) -> None:
    settings = make_dataset()
    spoil(settings, benchmark_facts, fault)
    with pytest.raises(DataError, match=rf"1 of 2 episodes are bad[^*]*00000010: .*{message}"):
        prepare_task(settings, RADIO)
    assert not Results.of(settings).prepared(RADIO).exists()
    listed = json.loads(Results.of(settings).quarantine(RADIO).read_text())
    assert (listed["task"], listed["episodes"]) == (RADIO, 2)
    assert [bad["episode_index"] for bad in listed["bad"]] == [10]
    assert re.search(message, listed["bad"][0]["reason"])
    marker = prepare_task(change(settings, allowed_bad_fraction=0.5), RADIO)
    assert marker["episodes"] == 1 and "1 of 2 episodes are bad" in capsys.readouterr().err
    assert [bad["episode_index"] for bad in marker["quarantine"]] == [10]
    with h5py.File(Results.of(settings).episodes(RADIO)) as file:
        assert set(file) == {"0"}


def test_a_mended_episode_comes_back(make_dataset: Maker, benchmark_facts: Benchmark) -> None:
    settings = make_dataset(allowed_bad_fraction=0.5)
    video = dataset_of(settings, benchmark_facts).video_path(10, "head")
    content = video.read_bytes()
    video.write_bytes(content[:100])
    assert prepare_task(settings, RADIO)["episodes"] == 1
    video.write_bytes(content)
    marker = prepare_task(settings, RADIO)
    assert marker["episodes"] == 2 and marker["quarantine"] == []
    assert not Results.of(settings).quarantine(RADIO).exists()


def test_an_index_at_odds_with_itself_is_an_error(
    make_dataset: Maker, benchmark_facts: Benchmark
) -> None:
    settings = make_dataset()
    path = dataset_of(settings, benchmark_facts).root / "meta/episodes.jsonl"
    lines = path.read_text()
    path.write_text(lines + lines.splitlines()[1] + "\n")
    with pytest.raises(DataError, match=r"episodes.jsonl, line 4: episode 10 stands twice"):
        prepare_task(settings, RADIO)
    path.write_text(lines.replace('"length": 33', '"length": 33.0'))
    with pytest.raises(DataError, match=r"line 2: length is 33.0, not a whole number"):
        prepare_task(settings, RADIO)


def test_too_little_disk_is_an_error_before_the_start(
    make_dataset: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_dataset()
    free = shutil.disk_usage("/")._replace(free=150_000)
    monkeypatch.setattr("hearth.data.estimate.shutil.disk_usage", lambda folder: free)
    done = count_episodes(monkeypatch)
    with pytest.raises(DataError, match=r"has 150.0 kB free; preparing needs about \d+.\d kB"):
        prepare_task(settings, RADIO)
    assert done == []


def test_the_estimate_is_printed_and_decides_the_codec(
    make_dataset: Maker, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = make_dataset()
    marker = prepare_task(settings, RADIO)
    assert marker["codec"] == "jpeg"
    assert re.search(r"73 frames a camera, about jpeg \d+.\d kB, h264", capsys.readouterr().err)
    # 110 frames of both tasks: the codec is that of the experiment, whatever the task.
    small = change(settings, jpeg_limit_gigabytes=2e-4)
    assert prepare_task(small, RADIO)["codec"] == "h264"
    assert prepare_task(small, TRASH)["codec"] == "h264"


def test_stages_from_annotations(make_dataset: Maker, benchmark_facts: Benchmark) -> None:
    settings = make_dataset(stage_labels="annotations")
    first = prepare_task(settings, RADIO)
    dataset = dataset_of(settings, benchmark_facts)
    stages = benchmark_facts.task(RADIO).stages
    with h5py.File(Results.of(settings).episodes(RADIO)) as file:
        found: Any = file["10/stage"]
        thirds = np.arange(33) * 3 // 33  # the recorded expert had three stages of equal length
        np.testing.assert_array_equal(found[()], thirds * stages // 3)
    path = dataset.annotation_path(10)
    row = {"frame_duration": [0, 30]}
    path.write_text(json.dumps({"skill_annotation": [row, {"frame_duration": [15, 33]}]}))
    assert prepare_task(settings, RADIO)["hash"] != first["hash"], "annotations are a source"
    path.unlink()
    with pytest.raises(DataError, match=r"00000010: .*episode_00000010.json does not exist"):
        prepare_task(settings, RADIO)


def test_nothing_good_is_an_error_whatever_is_allowed(
    make_dataset: Maker, benchmark_facts: Benchmark
) -> None:
    settings = make_dataset({RADIO: [10]}, allowed_bad_fraction=1.0)
    dataset_of(settings, benchmark_facts).table_path(0).write_bytes(b"")
    with pytest.raises(DataError, match="1 of 1 episodes are bad"):
        prepare_task(settings, RADIO)


def test_held_out_episodes_are_seeded(make_dataset: Maker) -> None:
    settings = make_dataset({RADIO: [4] * 20}, validation_fraction=0.3)
    marker = prepare_task(settings, RADIO)

    def held_out() -> dict[str, bool]:
        with h5py.File(Results.of(settings).episodes(RADIO)) as file:
            return {str(name): bool(file[str(name)].attrs["held_out"]) for name in file}

    first = held_out()
    assert 0 < sum(first.values()) < 20 and marker["held_out"] == sum(first.values())
    prepare_task(settings.model_copy(update={"seed": 1}), RADIO)
    assert held_out() != first
    prepare_task(settings, RADIO)
    assert held_out() == first


def test_a_second_process_waits_and_finds_the_work_done(
    make_dataset: Maker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(locks, "LOOK_SECONDS", 0.02)
    settings = make_dataset({RADIO: [10]})
    found: list[dict[str, Any]] = []
    second = threading.Thread(target=lambda: found.append(prepare_task(settings, RADIO)))
    lock = Results.of(settings).lock("prepare", RADIO)
    done = count_episodes(monkeypatch)
    with locks.alone(lock, "preparing"):
        second.start()
        said = ""
        while f"is preparing {RADIO} already; waiting for it to end" not in said:
            said += capsys.readouterr().err
        assert done == [] and not Results.of(settings).prepared(RADIO).exists()
    second.join(60)
    assert [marker["episodes"] for marker in found] == [1]
    assert prepare_task(settings, RADIO) == found[0] and len(done) == 1


def test_room_for_all_tasks_is_checked_before_the_first(
    make_dataset: Maker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = make_dataset().model_copy(update={"tasks": (RADIO, TRASH)})
    file = tmp_path / "experiment.yaml"
    file.write_text(settings.model_dump_json())
    done = count_episodes(monkeypatch)
    # 73 and 37 frames of three images, 0.85 kB each by estimate: one task fits twice, both do not.
    one, both = (estimate(settings.data, frames, 3).bytes for frames in (73, 110))
    free = shutil.disk_usage("/")._replace(free=both + one - 1)
    monkeypatch.setattr("hearth.data.estimate.shutil.disk_usage", lambda folder: free)
    assert main(["prepare", "--config", str(file)]) == 1
    found = capsys.readouterr().err
    assert "unit: 110 frames a camera, about jpeg" in found and "free; preparing needs" in found
    assert done == []
    assert main(["prepare", "--config", str(file), "--task", RADIO, "--workers", "1"]) == 0
    assert "warning: all tasks together" in capsys.readouterr().err and done == [0, 10]
    # The prepared one needs nothing more.
    assert main(["prepare", "--config", str(file), "--workers", "1"]) == 0
    assert done == [0, 10, 10_000]
