"""The loader: a pure function of seed and step."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from hearth.benchmark import Benchmark
from hearth.core.actions import to_absolute
from hearth.core.errors import DataError, StatisticsError
from hearth.core.results import Results
from hearth.core.settings import Settings
from hearth.core.statistics import Statistics
from hearth.data.episodes import read_tables
from hearth.data.images import decode_jpeg
from hearth.data.loader import Loader
from hearth.data.prepare import prepare_task
from hearth.data.statistics import compute_statistics

RADIO, TRASH = "turning_on_radio", "picking_up_trash"
HORIZON = 5
Maker = Callable[..., Settings]
Prepared = tuple[list[Path], Statistics]


@pytest.fixture
def prepared(make_dataset: Maker) -> Prepared:
    settings = make_dataset({RADIO: [40, 33], TRASH: [37]}, keep_every=3)
    for task in (RADIO, TRASH):
        prepare_task(settings, task)
    files = [Results.of(settings).episodes(task) for task in (RADIO, TRASH)]
    return files, compute_statistics(settings, (RADIO, TRASH))


def make_loader(prepared: Prepared, benchmark: Benchmark, **changes: Any) -> Loader:
    files, statistics = prepared
    arguments = {"horizon": HORIZON, "batch_size": 8, "seed": 3, **changes}
    return Loader(files, statistics, benchmark, **arguments)


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
        assert images.shape == (8, 64, 64, 3) and images.dtype == np.uint8


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


def test_iterating_gives_the_same_batches_from_any_start(
    prepared: Prepared, benchmark_facts: Benchmark
) -> None:
    loader = make_loader(prepared, benchmark_facts, start=3, threads=3)
    found = list(itertools.islice(loader, 9))  # crosses an epoch border
    for step, batch in enumerate(found, start=3):
        assert_same(batch, loader.batch(step))


def test_epochs_are_complete_and_differ(prepared: Prepared, benchmark_facts: Benchmark) -> None:
    loader = make_loader(prepared, benchmark_facts)
    drawn = np.concatenate([loader.samples(step) for step in range(38)])  # 8 epochs of 38
    epochs = drawn.reshape(8, 38)
    assert (np.sort(epochs, axis=1) == np.arange(38)).all()
    assert len({tuple(epoch) for epoch in epochs}) == 8


def test_kept_images_are_the_decoded_ones(prepared: Prepared, benchmark_facts: Benchmark) -> None:
    plain = make_loader(prepared, benchmark_facts)
    cached = make_loader(prepared, benchmark_facts, image_memory=2**28, threads=3)
    for step, batch in enumerate(itertools.islice(cached, 12)):
        assert_same(batch, plain.batch(step))
    assert all(images._known.all() for images in cached._images.values())
    too_small = make_loader(prepared, benchmark_facts, image_memory=1000)
    assert not any(len(images._known) for images in too_small._images.values())


def test_large_files_are_read_as_needed(
    prepared: Prepared, benchmark_facts: Benchmark, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = [make_loader(prepared, benchmark_facts).batch(step) for step in range(6)]
    monkeypatch.setattr("hearth.data.loader._BLOB_MEMORY", 0)
    loader = make_loader(prepared, benchmark_facts, threads=3)
    for batch, wanted in zip(itertools.islice(loader, 6), expected, strict=True):
        assert_same(batch, wanted)


def test_held_out_episodes_are_apart(make_dataset: Maker, benchmark_facts: Benchmark) -> None:
    settings = make_dataset({RADIO: [10] * 10}, validation_fraction=0.4)
    marker = prepare_task(settings, RADIO)
    found = [Results.of(settings).episodes(RADIO)], compute_statistics(settings, (RADIO,))
    held = make_loader(found, benchmark_facts, held_out=True)
    rest = make_loader(found, benchmark_facts)
    assert len(held) == marker["held_out"] * 10 and len(held) + len(rest) == 100


def test_faults(
    prepared: Prepared, make_dataset: Maker, benchmark_facts: Benchmark, tmp_path: Path
) -> None:
    files, statistics = prepared
    with pytest.raises(StatisticsError, match="horizon 5, settings 6"):
        make_loader(prepared, benchmark_facts, horizon=6)
    settings = make_dataset({RADIO: [8]}, image_size=32)
    prepare_task(settings.model_copy(update={"results": str(tmp_path / "small")}), RADIO)
    small = tmp_path / "small" / "unit" / "episodes" / f"{RADIO}.h5"
    with pytest.raises(DataError, match=r"one image size, found \[32, 64\]"):
        make_loader(([*files, small], statistics), benchmark_facts)
    with pytest.raises(DataError, match="no held-out episodes"):
        make_loader(prepared, benchmark_facts, held_out=True)
    with pytest.raises(DataError, match=r"none.h5 does not exist"):
        make_loader(([tmp_path / "none.h5"], statistics), benchmark_facts)
    with h5py.File(files[1], "r+") as file:
        content: Any = file["10000/frames/head/bytes"]
        content[:] = 0
    damaged = make_loader(prepared, benchmark_facts)
    with pytest.raises(DataError, match=r"episode 10000: image \d+ of camera 'head'"):
        list(itertools.islice(damaged, 5))
    content_all = files[0].read_bytes()
    files[0].write_bytes(content_all[: len(content_all) // 2])
    with pytest.raises(DataError, match=r"turning_on_radio.h5 cannot be read"):
        make_loader(prepared, benchmark_facts)
