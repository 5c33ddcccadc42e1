"""Parts of the published sets: some cameras of them, videos that nobody reads."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from loader_setup import make_statistics
from prepare_setup import RADIO, Maker, dataset_of

from hearth.benchmark import Benchmark, experiment_benchmark
from hearth.cli import main
from hearth.core.errors import DataError, SettingsError
from hearth.core.files import write_text
from hearth.core.results import Results
from hearth.core.settings import Settings, validate_settings
from hearth.data.lerobot import open_dataset
from hearth.data.loader import Loader
from hearth.data.prepare import prepare_task
from hearth.model import presets


def with_cameras(settings: Settings, *cameras: str) -> Settings:
    return settings.model_copy(update={"cameras": cameras})


def test_some_cameras_are_enough(make_dataset: Maker, benchmark_facts: Benchmark) -> None:
    settings = with_cameras(make_dataset(), "left_wrist", "head")
    for path in (dataset_of(settings, benchmark_facts).root / "videos").rglob(
        "*.rgb.right_wrist/*"
    ):
        path.unlink()
    marker = prepare_task(settings, RADIO)
    assert (marker["episodes"], marker["images"]) == (2, 2 * 73) and not marker["quarantine"]
    path = Results.of(settings).episodes(RADIO)
    with h5py.File(path) as file:
        assert set(file["0/frames"]) == {"head", "left_wrist"}  # type: ignore[arg-type]
    chosen = experiment_benchmark(settings)
    loader = Loader([path], make_statistics(chosen), chosen, 5, 8, seed=0)
    assert list(loader.batch(0)["images"]) == ["head", "left_wrist"]
    network = presets.config(settings.model, chosen, 64, 5, make_statistics(chosen))
    assert network.cameras == ("head", "left_wrist")
    # All of them again: what is missing is said, and nothing prepared is taken for whole.
    with pytest.raises(DataError, match=r"right_wrist/episode_00000000.mp4 does not exist"):
        prepare_task(with_cameras(settings), RADIO)


def test_only_the_experiments_cameras_are_fetched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = {"experiment": "x", "benchmark": "behavior-2025", "cameras": ["head"],
              "tasks": [RADIO], "data": {"dataset": str(tmp_path)}}  # fmt: skip
    settings = validate_settings(values, source="test")
    write_text(tmp_path / "x.yaml", settings.model_dump_json())
    assert main(["fetch-data", "--config", str(tmp_path / "x.yaml")]) == 0
    found = capsys.readouterr().out
    assert "videos/task-0000/observation.images.rgb.head/*" in found and "wrist" not in found


def test_an_unknown_camera_is_named(make_dataset: Maker) -> None:
    with pytest.raises(SettingsError, match=r"'cameras': unknown camera 'heads'.*mean 'head'"):
        experiment_benchmark(with_cameras(make_dataset(), "heads"))


def test_depth_and_segmentation_stay_unread(
    make_dataset: Maker, benchmark_facts: Benchmark
) -> None:
    """The published set of 2025 has them beside the colours, coded as nothing else here is."""
    settings = make_dataset()
    root = dataset_of(settings, benchmark_facts).root
    info = json.loads((root / "meta/info.json").read_text())
    before = prepare_task(settings, RADIO)
    for kind in ("depth", "seg_instance_id"):
        for camera in benchmark_facts.cameras:
            key = f"observation.images.{kind}.{camera}"
            info["features"][key] = {
                **info["features"]["observation.images.rgb.head"],
                "info": {"video.codec": "ffv1", "video.is_depth_map": kind == "depth"},
            }
            path = root / f"videos/task-0000/{key}/episode_00000000.mp4"
            path.parent.mkdir()
            path.write_bytes(b"unread")
    (root / "meta/info.json").write_text(json.dumps(info))
    dataset = open_dataset(root, benchmark_facts)
    keys = {path.parent.name for path in dataset.sources(0)} - {"task-0000"}
    assert keys == {camera.dataset_key for camera in benchmark_facts.cameras.values()}
    assert np.stack(list(dataset.read_frames(0, "head"))).shape == (40, 64, 64, 3)
    for path in (Results.of(settings).prepared(RADIO), Results.of(settings).episodes(RADIO)):
        path.unlink()
    assert prepare_task(settings, RADIO) == before
