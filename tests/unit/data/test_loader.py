"""The loader: a pure function of seed and step, whoever reads."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from loader_setup import (
    HORIZON,
    RADIO,
    SIZE,
    TRASH,
    Prepared,
    make_loader,
    make_statistics,
    write_file,
)

from hearth.benchmark import Benchmark
from hearth.core.actions import to_absolute
from hearth.core.errors import SettingsError
from hearth.data.episodes import read_tables
from hearth.data.images import decode_jpeg
from hearth.data.loader import loader as module


def assert_same(one: dict[str, Any], two: dict[str, Any]) -> None:
    assert one.keys() == two.keys()
    for name, value in one.items():
        if isinstance(value, dict):
            assert_same(value, two[name])
        else:
            np.testing.assert_array_equal(value, two[name], err_msg=name)


def test_shapes_and_types(prepared: Prepared, benchmark_facts: Benchmark) -> None:
    loader = make_loader(prepared, benchmark_facts)
    assert len(loader) == 14 + 11 + 13
    batch = loader.batch(0)
    shapes = {name: (v.shape, v.dtype.name) for name, v in batch.items() if name != "images"}
    assert shapes == {
        "state": ((8, 23), "float32"),
        "actions": ((8, HORIZON, 23), "float32"),
        "action_mask": ((8, HORIZON), "bool"),
        "task": ((8,), "int32"),
        "stage": ((8,), "int32"),
    }
    assert set(batch["images"]) == {"head", "left_wrist", "right_wrist"}
    for images in batch["images"].values():
        assert images.shape == (8, SIZE, SIZE, 3) and images.dtype == np.uint8


def test_every_sample_is_what_the_file_says(prepared: Prepared, benchmark_facts: Benchmark) -> None:
    files, statistics = prepared
    loader = make_loader(prepared, benchmark_facts, batch_size=38)
    expected = []
    for file in files:
        for table in read_tables(file):
            with h5py.File(file) as handle:
                for slot, row in enumerate(table.frame_index):
                    group: Any = handle[f"{table.index}/frames/left_wrist"]
                    start, stop = group["offsets"][slot : slot + 2]
                    expected.append((table, int(row), decode_jpeg(group["bytes"][start:stop])))
    samples, batch = loader.samples(0), loader.batch(0)
    assert sorted(samples) == list(range(38)), "an epoch visits every sample once"
    mask = benchmark_facts.robot.delta_mask
    for slot, sample in enumerate(samples):
        table, row, image = expected[sample]
        np.testing.assert_array_equal(batch["images"]["left_wrist"][slot], image)
        assert batch["task"][slot] == table.task_index and batch["stage"][slot] == table.stage[row]
        state = table.state[row]
        np.testing.assert_allclose(batch["state"][slot], statistics.normalise_state(state))
        rows = [min(row + step, len(table.actions) - 1) for step in range(HORIZON)]
        delta = statistics.denormalise_actions(batch["actions"][slot])
        np.testing.assert_allclose(to_absolute(delta, state, mask), table.actions[rows], atol=1e-4)
        inside = [row + step < len(table.actions) for step in range(HORIZON)]
        assert batch["action_mask"][slot].tolist() == inside


def test_padding_may_count(prepared: Prepared, benchmark_facts: Benchmark) -> None:
    masked = make_loader(prepared, benchmark_facts, batch_size=38).batch(0)
    counted = make_loader(prepared, benchmark_facts, {"mask_padding": False}, batch_size=38)
    batch = counted.batch(0)
    assert not masked["action_mask"].all() and batch["action_mask"].all()
    np.testing.assert_array_equal(batch["actions"], masked["actions"])


def test_pure_function_of_seed_and_step(prepared: Prepared, benchmark_facts: Benchmark) -> None:
    loader, again = (make_loader(prepared, benchmark_facts) for _ in range(2))
    late = loader.batch(1000)
    assert_same(again.batch(1000), late)
    loader.batch(3)
    assert_same(loader.batch(1000), late)
    other = make_loader(prepared, benchmark_facts, seed=4)
    assert any((loader.samples(step) != other.samples(step)).any() for step in range(3)), (
        "another seed gives another order"
    )


@pytest.mark.parametrize(("workers", "start"), [(0, 0), (0, 3), (1, 0), (2, 3)])
def test_processes_and_restarts_give_the_same_batches(
    prepared: Prepared, benchmark_facts: Benchmark, workers: int, start: int
) -> None:
    plain = make_loader(prepared, benchmark_facts)
    settings = {"workers": workers, "batches_ahead": 2}
    batches = iter(make_loader(prepared, benchmark_facts, settings, start=start))
    # Eight batches cross an epoch border, wherever they start.
    for step, batch in enumerate(itertools.islice(batches, 8), start=start):
        assert type(batch["state"]) is np.ndarray
        assert_same(batch, plain.batch(step))
    batches.close()


def test_the_first_batch_waits_for_no_process(
    prepared: Prepared, benchmark_facts: Benchmark, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, started, original = (
        make_loader(prepared, benchmark_facts),
        threading.Event(),
        module._next,
    )

    def slow_start(batches: Any) -> Any:
        assert started.wait(60), "the first batch waits for the loading process"
        return original(batches)

    monkeypatch.setattr(module, "_next", slow_start)
    batches = iter(make_loader(prepared, benchmark_facts, {"workers": 1}))
    assert_same(next(batches), plain.batch(0))
    started.set()
    assert_same(next(batches), plain.batch(1))
    batches.close()


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("memory", [0, 2**30])
def test_threads_and_kept_images_give_the_same_batches(
    prepared: Prepared, benchmark_facts: Benchmark, threads: int, memory: int
) -> None:
    plain = make_loader(prepared, benchmark_facts, {"image_memory_bytes": 0})
    settings = {"threads": threads, "image_memory_bytes": memory}
    loader = make_loader(prepared, benchmark_facts, settings)
    for step, batch in enumerate(itertools.islice(loader, 12)):
        assert_same(batch, plain.batch(step))
    assert len(loader._kept) == (3 if memory else 0) and plain._kept == []
    assert all(images._known.all() for images in loader._kept)


def test_hosts_read_slices_of_the_same_batches(
    prepared: Prepared, benchmark_facts: Benchmark
) -> None:
    whole = make_loader(prepared, benchmark_facts)
    halves = [make_loader(prepared, benchmark_facts, host=host, hosts=2) for host in (0, 1)]
    for step in (0, 4, 77):
        wanted = whole.batch(step)
        parts = [half.batch(step) for half in halves]
        for name in ("state", "actions", "action_mask", "task", "stage"):
            joined = np.concatenate([part[name] for part in parts])
            np.testing.assert_array_equal(joined, wanted[name])
        for camera, images in wanted["images"].items():
            joined = np.concatenate([part["images"][camera] for part in parts])
            np.testing.assert_array_equal(joined, images)
    with pytest.raises(SettingsError, match=r"host 0 of 3 .*batch_size 8.*multiples of 3"):
        make_loader(prepared, benchmark_facts, host=0, hosts=3)


def test_epochs_are_complete_and_differ(prepared: Prepared, benchmark_facts: Benchmark) -> None:
    loader = make_loader(prepared, benchmark_facts)
    drawn = np.concatenate([loader.samples(step) for step in range(38)])  # 8 epochs of 38
    epochs = drawn.reshape(8, 38)
    assert (np.sort(epochs, axis=1) == np.arange(38)).all()
    assert len({tuple(epoch) for epoch in epochs}) == 8


def test_tasks_share_by_temperature(prepared: Prepared, benchmark_facts: Benchmark) -> None:
    shares = []
    for temperature in (0.0, 1.0):
        settings = {"task_temperature": temperature}
        loader = make_loader(prepared, benchmark_facts, settings, batch_size=3800)
        tasks = loader.index.episodes["task"][loader.index.locate(loader.samples(0))[0]]
        shares.append((tasks == benchmark_facts.task(TRASH).index).mean())
    np.testing.assert_allclose(shares, [1 / 2, 13 / 38], atol=0.03)


def test_the_order_does_not_depend_on_the_order_of_files(
    prepared: Prepared, benchmark_facts: Benchmark
) -> None:
    files, statistics = prepared
    one = make_loader(prepared, benchmark_facts).batch(2)
    assert_same(make_loader((files[::-1], statistics), benchmark_facts).batch(2), one)


def test_held_out_episodes_are_apart(tmp_path: Path, benchmark_facts: Benchmark) -> None:
    path = tmp_path / f"{RADIO}.h5"
    write_file(path, benchmark_facts, RADIO, [10] * 10, held_out=(2, 5, 6))
    found = [path], make_statistics(benchmark_facts)
    held = make_loader(found, benchmark_facts, held_out=True)
    rest = make_loader(found, benchmark_facts)
    assert (len(held), len(rest)) == (30, 70)
    assert set(held.index.episodes["episode"].tolist()) == {2, 5, 6}
    assert set(rest.index.episodes["episode"].tolist()) == {0, 1, 3, 4, 7, 8, 9}


def test_tokens_are_of_the_delta_chunks(prepared: Prepared, benchmark_facts: Benchmark) -> None:
    def tokenize(chunks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return chunks[:, 0, :2].astype(np.int32), np.ones((len(chunks), 2), dtype=bool)

    batch = make_loader(prepared, benchmark_facts, tokenize=tokenize).batch(0)
    delta = prepared[1].denormalise_actions(batch["actions"])
    np.testing.assert_array_equal(batch["fast_tokens"], (delta[:, 0, :2] + 0).astype(np.int32))
    assert batch["fast_token_mask"].shape == (8, 2)
