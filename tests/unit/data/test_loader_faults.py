"""The loader on damaged, changed and foreign files, and its processes when somebody dies."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import psutil
import pytest
from loader_setup import (
    RADIO,
    TRASH,
    Prepared,
    make_loader,
    make_statistics,
    write_file,
)

from hearth.benchmark import Benchmark
from hearth.core.errors import DataError, StatisticsError
from hearth.data import index
from hearth.data.index import make_index
from hearth.data.loader import Loader


def indices_beside(files: list[Path]) -> list[Path]:
    return sorted(path for path in files[0].parent.iterdir() if path.name.endswith(".index.npy"))


def test_statistics_of_another_horizon(prepared: Prepared, benchmark_facts: Benchmark) -> None:
    with pytest.raises(StatisticsError, match="horizon 5, settings 6"):
        make_loader(prepared, benchmark_facts, horizon=6)


def test_other_image_sizes(prepared: Prepared, benchmark_facts: Benchmark, tmp_path: Path) -> None:
    files, statistics = prepared
    small = write_file(tmp_path / "small.h5", benchmark_facts, RADIO, [8], size=8)
    with pytest.raises(DataError, match=r"one image size, found \[8, 16\]"):
        make_loader(([*files, small], statistics), benchmark_facts)
    with h5py.File(small, "r+") as file:  # a file that says one thing and holds another
        file.attrs["image_size"] = 16
    loader = make_loader(([small], statistics), benchmark_facts)
    with pytest.raises(DataError, match=r"episode 0: image \d of camera 'head'.*8 x 8 pixels"):
        loader.batch(0)


def test_nothing_to_read(prepared: Prepared, benchmark_facts: Benchmark, tmp_path: Path) -> None:
    files, statistics = prepared
    with pytest.raises(DataError, match="no held-out episodes"):
        make_loader(prepared, benchmark_facts, held_out=True)
    with pytest.raises(DataError, match="no training episodes in no files"):
        make_loader(([], statistics), benchmark_facts)
    with pytest.raises(DataError, match=r"none.h5 does not exist"):
        make_loader(([tmp_path / "none.h5"], statistics), benchmark_facts)
    with h5py.File(files[0], "r+") as file:
        for name in list(file):
            del file[name]
    with pytest.raises(DataError, match=r"no training episodes in .*turning_on_radio.h5"):
        make_loader((files[:1], statistics), benchmark_facts)


def test_another_benchmark(prepared: Prepared, benchmark_facts: Benchmark) -> None:
    with h5py.File(prepared[0][0], "r+") as file:
        file.attrs["benchmark"] = "kitchen"
    with pytest.raises(DataError, match=r"prepared for benchmark 'kitchen'.*not 'household'"):
        make_loader(prepared, benchmark_facts)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_image_is_named(
    prepared: Prepared, benchmark_facts: Benchmark, workers: int
) -> None:
    with h5py.File(prepared[0][1], "r+") as file:
        content: Any = file["10000/frames/head/bytes"]
        content[:] = 0
    damaged = make_loader(prepared, benchmark_facts, {"workers": workers})
    with pytest.raises(DataError, match=r"trash.h5, episode 10000: image \d+ of camera 'head'"):
        list(itertools.islice(damaged, 5))


def test_damaged_structures(prepared: Prepared, benchmark_facts: Benchmark) -> None:
    files, _ = prepared

    def damage(name: str, value: Any) -> Loader:
        with h5py.File(files[1], "r+") as file:
            group: Any = file["10000"]
            before = group[name][()]
            del group[name]
            if value is not None:
                group.create_dataset(name, data=value(before))
        try:
            return make_loader(prepared, benchmark_facts, batch_size=38)
        finally:
            with h5py.File(files[1], "r+") as file:
                group = file["10000"]
                group.pop(name, None)
                group.create_dataset(name, data=before)

    with pytest.raises(DataError, match=r"camera 'head' has 12 images; needed are 13"):
        damage("frames/head/offsets", lambda offsets: offsets[:-1])
    with pytest.raises(DataError, match=r"actions has shape \(37, 22\); needed is \(37, 23\)"):
        damage("actions", lambda actions: actions[:, :22])
    with pytest.raises(DataError, match=r"state has shape \(36, 23\); needed is \(37, 23\)"):
        damage("state", lambda state: state[:-1])
    with pytest.raises(DataError, match=r"stage \(float64.*not stored in one piece of type int32"):
        damage("stage", lambda stage: stage.astype(np.float64))
    with pytest.raises(DataError, match="cannot be read"):
        damage("stage", None)


def test_damaged_values_are_found_where_they_are_read(
    prepared: Prepared, benchmark_facts: Benchmark
) -> None:
    files, _ = prepared
    with h5py.File(files[1], "r+") as file:
        rows: Any = file["10000/frame_index"]
        rows[:] = 37
    loader = make_loader(prepared, benchmark_facts, batch_size=38)
    with pytest.raises(DataError, match=r"episode 10000: image \d+ is of row 37 of 37"):
        loader.batch(0)
    with h5py.File(files[1], "r+") as file:
        file["10000/frame_index"][:] = np.arange(0, 37, 3)  # type: ignore[index]
        file["10000/frames/left_wrist/offsets"][5] = 10**9  # type: ignore[index]
    loader = make_loader(prepared, benchmark_facts, batch_size=38)
    with pytest.raises(DataError, match=r"image [45] of camera 'left_wrist'.*offsets are damaged"):
        loader.batch(0)


def test_other_cameras_and_codecs(prepared: Prepared, benchmark_facts: Benchmark) -> None:
    files, _ = prepared
    with h5py.File(files[0], "r+") as file:
        file["0/frames/head"].attrs["codec"] = "av1"
    with pytest.raises(DataError, match=r"camera 'head': codec 'av1': .*Valid: h264, jpeg"):
        make_loader(prepared, benchmark_facts)
    with h5py.File(files[0], "r+") as file:
        file.move("0/frames/head", "0/frames/front")
    with pytest.raises(DataError, match=r"episode 0 has no camera 'head': .*front"):
        make_loader(prepared, benchmark_facts)


def test_cut_off_files(prepared: Prepared, benchmark_facts: Benchmark) -> None:
    files, _ = prepared
    loader = make_loader(prepared, benchmark_facts)
    content = files[0].read_bytes()
    loader.batch(0)
    os.truncate(files[0], len(content) // 2)
    with pytest.raises(DataError, match=r"turning_on_radio.h5 ends early: 0 of \d+ bytes"):
        for step in range(5):
            loader.batch(step)
    with pytest.raises(DataError, match=r"turning_on_radio.h5 cannot be read"):
        make_loader(prepared, benchmark_facts)


def test_a_changed_file_is_refused(prepared: Prepared, benchmark_facts: Benchmark) -> None:
    files, _ = prepared
    loader = make_loader(prepared, benchmark_facts)
    files[0].touch()
    with pytest.raises(DataError, match=r"turning_on_radio.h5 changed since it was indexed"):
        for step in range(5):
            loader.batch(step)


def test_kept_indices(
    prepared: Prepared, benchmark_facts: Benchmark, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, _ = prepared
    first = make_index(files, benchmark_facts, held_out=False)
    kept = indices_beside(files)
    assert [path.name for path in kept] == [f".{TRASH}.h5.index.npy", f".{RADIO}.h5.index.npy"]
    scanned: list[int] = []
    scan = index._scan
    monkeypatch.setattr(index, "_scan", lambda *given: scanned.append(given[2]) or scan(*given))
    np.testing.assert_array_equal(
        make_index(files, benchmark_facts, held_out=False).episodes, first.episodes
    )
    assert scanned == [], "an index that belongs to the file is used"
    files[0].touch()
    make_index(files, benchmark_facts, held_out=False)
    assert scanned == [0, 1], "a changed file is looked into again"
    for content in (b"", b"no index", kept[0].read_bytes()[:200]):
        scanned.clear()
        kept[0].write_bytes(content)
        again = make_index(files, benchmark_facts, held_out=False)
        assert scanned == [10_000]
        np.testing.assert_array_equal(again.episodes["actions"], first.episodes["actions"])


def test_h264(tmp_path: Path, benchmark_facts: Benchmark) -> None:
    """Random access gives what reading in order gives, and damage is named."""
    path = tmp_path / "h264.h5"
    write_file(path, benchmark_facts, RADIO, [40], codec="h264", size=32)
    found = [path], make_statistics(benchmark_facts)
    loader = make_loader(found, benchmark_facts, batch_size=40)
    samples, batch = loader.samples(0), loader.batch(0)
    in_order = [loader.reader.images(0, np.array([sample])) for sample in range(40)]
    np.testing.assert_array_equal(batch["images"]["head"], np.concatenate(in_order)[samples])
    with h5py.File(found[0][0], "r+") as file:
        file["0/frames/head/bytes"][100:] = 7  # type: ignore[index]
    with pytest.raises(DataError, match=r"episode 0: image \d+ of camera 'head'"):
        make_loader(found, benchmark_facts, batch_size=40).batch(0)


TRAINER = """
import sys, time
from pathlib import Path
from hearth.benchmark import load_benchmark
from hearth.core.sections import LoaderSettings
from hearth.core.statistics import Statistics
from hearth.data.loader import Loader

if __name__ == "__main__":
    settings = LoaderSettings(workers=2)
    statistics = Statistics.load(sys.argv[1])
    household = load_benchmark("household")
    loader = Loader(sys.argv[2:], statistics, household, 5, 8, 3, settings=settings)
    for batch in loader:
        print("batch", flush=True)
        time.sleep(0.2)
"""


def start_trainer(prepared: Prepared, tmp_path: Path) -> tuple[Any, list[psutil.Process]]:
    """A process that reads batches with two loading processes, once both of them work."""
    files, statistics = prepared
    statistics.save(tmp_path / "statistics.h5")
    script = tmp_path / "trainer.py"
    script.write_text(TRAINER)
    trainer = subprocess.Popen(
        [sys.executable, script, tmp_path / "statistics.h5", *files],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert trainer.stdout is not None
    for _ in range(4):
        assert trainer.stdout.readline() == "batch\n"
    children = psutil.Process(trainer.pid).children(recursive=True)
    workers = [child for child in children if "spawn_main" in " ".join(child.cmdline())]
    assert len(workers) == 2
    return trainer, workers


def test_killing_the_trainer_ends_its_processes(prepared: Prepared, tmp_path: Path) -> None:
    trainer, workers = start_trainer(prepared, tmp_path)
    trainer.kill()
    trainer.communicate()
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert alive == []


def test_a_killed_loading_process_is_an_error(prepared: Prepared, tmp_path: Path) -> None:
    trainer, workers = start_trainer(prepared, tmp_path)
    workers[0].send_signal(signal.SIGTERM)  # left to the trainer
    time.sleep(0.5)
    assert workers[0].is_running()
    workers[0].kill()
    _, errors = trainer.communicate(timeout=60)
    assert trainer.returncode == 1
    assert "DataError: a loading process ended" in errors and "exit code -9" in errors
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert alive == []
