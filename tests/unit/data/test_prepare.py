"""Preparing episodes: content, and going on after interruptions."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from prepare_setup import RADIO, Maker, change, count_episodes, dataset_of

from hearth.benchmark import Benchmark
from hearth.core.errors import DataError
from hearth.core.results import Results
from hearth.data import prepare
from hearth.data.images import decode_jpeg
from hearth.data.preparation import Preparation
from hearth.data.prepare import prepare_task
from hearth.data.resize import resize_with_padding


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
    assert sorted(leftovers) == [f".{RADIO}.h5.index.npy", f"{RADIO}.h5", f"{RADIO}.json"]


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
    assert found.returncode != 0 and "StorageError: cannot write" in found.stderr
    folder = Results.of(settings).episodes(RADIO).parent
    assert [path.name for path in folder.rglob("*") if path.is_file()] == []
    assert prepare_task(settings, RADIO)["episodes"] == 1
