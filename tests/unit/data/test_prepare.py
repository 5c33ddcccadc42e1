"""Preparing episodes: content, verification, quarantine, and going on after interruptions."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hearth.benchmark import Benchmark
from hearth.core.errors import DataError
from hearth.core.results import Results
from hearth.core.settings import Settings
from hearth.data import prepare
from hearth.data.images import decode_jpeg
from hearth.data.lerobot import Dataset, open_dataset
from hearth.data.lerobot.video import encode_video
from hearth.data.preparation import Preparation
from hearth.data.prepare import prepare_task
from hearth.data.resize import resize_with_padding

RADIO, TRASH = "turning_on_radio", "picking_up_trash"
Maker = Callable[..., Settings]


def dataset_of(settings: Settings, benchmark: Benchmark) -> Dataset:
    return open_dataset(settings.data.dataset or "", benchmark)


def change(settings: Settings, **data: object) -> Settings:
    return settings.model_copy(update={"data": settings.data.model_copy(update=data)})


def count_episodes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The episodes that are really worked on, in order."""
    done: list[int] = []
    original = Preparation.prepare

    def counting(work: Preparation, episode: int, part: Path, fingerprint: str) -> str | None:
        done.append(episode)
        return original(work, episode, part, fingerprint)

    monkeypatch.setattr(Preparation, "prepare", counting)
    return done


def test_content(make_dataset: Maker, benchmark_facts: Benchmark) -> None:
    settings = make_dataset(keep_every=4)
    marker = prepare_task(settings, RADIO)
    results = Results.of(settings)
    assert json.loads(results.prepared(RADIO).read_text()) == marker
    assert (marker["episodes"], marker["frames"]) == (2, 73)
    assert marker["images"] == (10 + 9) * 3 and marker["quarantine"] == []
    source = dataset_of(settings, benchmark_facts)
    table = source.read_table(10)
    with h5py.File(results.episodes(RADIO)) as file:
        assert set(file) == {"0", "10"}
        assert file.attrs["benchmark"] == "household" and file.attrs["image_size"] == 64
        group: Any = file["10"]
        np.testing.assert_array_equal(group["actions"][()], table.actions)
        expected = benchmark_facts.robot.state_from_proprioception(table.proprioception)
        np.testing.assert_array_equal(group["state"][()], expected)
        np.testing.assert_array_equal(group["timestamp"][()], table.timestamps)
        assert group["stage"].dtype == np.int32 and group["timestamp"].dtype == np.float64
        stages = benchmark_facts.task(RADIO).stages
        np.testing.assert_array_equal(group["stage"][()], np.arange(33) * stages // 33)
        np.testing.assert_array_equal(group["frame_index"][()], np.arange(0, 33, 4))
        assert group.attrs["task"] == RADIO and group.attrs["task_index"] == 0
        for camera in benchmark_facts.cameras:
            frames = list(source.read_frames(10, camera))
            content, offsets = (
                group[f"frames/{camera}/{name}"][()] for name in ("bytes", "offsets")
            )
            assert len(offsets) == 10 and offsets[-1] == len(content)
            for slot, row in enumerate(range(0, 33, 4)):
                image = decode_jpeg(content[offsets[slot] : offsets[slot + 1]])
                assert np.abs(image.astype(int) - frames[row]).mean() < 4.0
    leftovers = [p.name for p in results.prepared(RADIO).parent.iterdir()]
    assert sorted(leftovers) == [f"{RADIO}.h5", f"{RADIO}.json"]


def test_resizing_pads_the_shorter_side() -> None:
    image = np.full((40, 80, 3), 200, dtype=np.uint8)
    small = resize_with_padding(image, 32)
    assert small.shape == (32, 32, 3)
    assert (small[:8] == 0).all() and (small[24:] == 0).all() and (small[8:24] == 200).all()
    square = np.zeros((32, 32, 3), dtype=np.uint8)
    assert resize_with_padding(square, 32) is square


def test_other_image_size(make_dataset: Maker) -> None:
    settings = make_dataset({RADIO: [10]}, size=96, image_size=32)
    prepare_task(settings, RADIO)
    with h5py.File(Results.of(settings).episodes(RADIO)) as file:
        group: Any = file["0/frames/head"]
        assert decode_jpeg(group["bytes"][: group["offsets"][1]]).shape == (32, 32, 3)


@pytest.mark.parametrize("codec", ["jpeg", "h264"])
def test_same_bytes_whatever_the_workers(
    make_dataset: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codec: str
) -> None:
    settings = make_dataset(codec=codec)
    monkeypatch.setattr(prepare, "_SECONDS_PER_WORKER", 1e-9)  # small as they are
    prepare_task(settings, RADIO)
    again = settings.model_copy(update={"results": str(tmp_path / "again")})
    prepare_task(again, RADIO, workers=2)
    one, two = Results.of(settings), Results.of(again)
    assert one.episodes(RADIO).read_bytes() == two.episodes(RADIO).read_bytes()
    assert one.prepared(RADIO).read_bytes() == two.prepared(RADIO).read_bytes()


def test_finished_work_is_not_redone(
    make_dataset: Maker, benchmark_facts: Benchmark, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_dataset()
    done = count_episodes(monkeypatch)
    first = prepare_task(settings, RADIO)
    assert prepare_task(settings, RADIO) == first and done == [0, 10]
    # One changed episode: the other is carried over from the finished file.
    path = dataset_of(settings, benchmark_facts).table_path(10)
    table = pq.read_table(path)
    actions = np.stack(table["action"].to_pylist()) * 0.5
    position = table.column_names.index("action")
    pq.write_table(table.set_column(position, "action", pa.array(actions.tolist())), path)
    second = prepare_task(settings, RADIO)
    assert done == [0, 10, 10] and second["hash"] != first["hash"]
    third = prepare_task(change(settings, jpeg_quality=50), RADIO)
    assert done == [0, 10, 10, 0, 10] and third["hash"] != second["hash"]


def test_the_data_set_may_move(
    make_dataset: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_dataset()
    marker = prepare_task(settings, RADIO)
    shutil.copytree(settings.data.dataset or "", tmp_path / "moved")  # keeps times of change
    done = count_episodes(monkeypatch)
    assert prepare_task(change(settings, dataset=str(tmp_path / "moved")), RADIO) == marker
    assert done == []


def test_a_cut_off_file_is_made_again(make_dataset: Maker) -> None:
    settings = make_dataset({RADIO: [15, 12]})
    marker = prepare_task(settings, RADIO)
    path = Results.of(settings).episodes(RADIO)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert prepare_task(settings, RADIO) == marker
    assert path.read_bytes() == whole


def test_parts_survive_an_interruption(
    make_dataset: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_dataset({RADIO: [15, 12, 11]})
    original = Preparation.prepare

    def interrupted(work: Preparation, episode: int, part: Path, fingerprint: str) -> str | None:
        if episode == 20:
            raise KeyboardInterrupt
        return original(work, episode, part, fingerprint)

    monkeypatch.setattr(Preparation, "prepare", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare_task(settings, RADIO)
    results = Results.of(settings)
    assert not results.prepared(RADIO).exists() and not results.episodes(RADIO).exists()
    parts = sorted(results.episodes(RADIO).parent.glob(".*.parts/*.h5"))
    assert len(parts) == 2
    parts[1].write_bytes(parts[1].read_bytes()[:500])  # cut off: to be made again
    monkeypatch.setattr(Preparation, "prepare", original)
    done = count_episodes(monkeypatch)
    assert prepare_task(settings, RADIO)["episodes"] == 3
    assert done == [10, 20]


def test_kill_at_any_moment_then_completes(
    make_dataset: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_dataset({RADIO: [30] * 12})
    (tmp_path / "settings.json").write_text(settings.model_dump_json())
    script = (
        "import sys; from hearth.core.settings import Settings; from hearth.data import prepare\n"
        f"settings = Settings.model_validate_json(open(r'{tmp_path / 'settings.json'}').read())\n"
        "prepare._SECONDS_PER_WORKER = 1e-9\n"  # two processes for little work, too
        f"prepare.prepare_task(settings, '{RADIO}', workers=int(sys.argv[1]))\n"
    )
    parts = Results.of(settings).episodes(RADIO).parent / f".{RADIO}.parts"
    for workers, wanted in ((1, 3), (2, 7)):
        process = subprocess.Popen(
            [sys.executable, "-c", script, str(workers)], stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 300
        while len(list(parts.glob("*.h5"))) < wanted and process.poll() is None:
            assert time.monotonic() < deadline, "prepare makes no progress"
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
    before = len(list(parts.glob("*.h5")))
    done = count_episodes(monkeypatch)
    deadline = time.monotonic() + 120
    while True:  # workers of the killed process notice within moments
        try:
            marker = prepare_task(settings, RADIO)
            break
        except DataError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    assert marker["episodes"] == 12
    if before:  # the second process may have been quick enough to finish
        assert before >= 7 and len(done) <= 12 - before
    assert not parts.exists()


def test_full_disk_is_named_and_leaves_no_half_file(make_dataset: Maker, tmp_path: Path) -> None:
    settings = make_dataset({RADIO: [30]})
    (tmp_path / "settings.json").write_text(settings.model_dump_json())
    script = (
        "import resource; from hearth.core.settings import Settings\n"
        "from hearth.data.prepare import prepare_task\n"
        f"settings = Settings.model_validate_json(open(r'{tmp_path / 'settings.json'}').read())\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        f"prepare_task(settings, '{RADIO}')\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert found.returncode != 0 and "HearthError: cannot write" in found.stderr
    folder = Results.of(settings).episodes(RADIO).parent
    assert [path.name for path in folder.rglob("*") if path.is_file()] == []
    assert prepare_task(settings, RADIO)["episodes"] == 1


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


def test_a_second_process_is_refused(make_dataset: Maker) -> None:
    settings = make_dataset({RADIO: [10]})
    parts = Results.of(settings).episodes(RADIO).parent / f".{RADIO}.parts"
    with prepare._lock(parts), pytest.raises(DataError, match="another process is preparing"):
        prepare_task(settings, RADIO)
    assert prepare_task(settings, RADIO)["episodes"] == 1
