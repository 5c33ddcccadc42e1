"""Prepared files made in place, and loaders of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np

from hearth.benchmark import Benchmark
from hearth.core.sections import LoaderSettings
from hearth.core.statistics import Statistics
from hearth.data import codecs
from hearth.data.episodes import Episode, concatenate, write_part
from hearth.data.loader import Loader

RADIO, TRASH = "turning_on_radio", "picking_up_trash"
HORIZON, SIZE = 5, 16
Prepared = tuple[list[Path], Statistics]


def write_file(
    path: Path,
    benchmark: Benchmark,
    task: str,
    lengths: Sequence[int],
    *,
    first: int = 0,
    keep_every: int = 1,
    held_out: Sequence[int] = (),
    codec: codecs.Codec = "jpeg",
    size: int = SIZE,
) -> Path:
    """One episode of each length, numbered from `first`, with random numbers and smooth images."""
    parts = {}
    for index, length in enumerate(lengths, start=first):
        part = path.with_name(f"part-{index}.h5")
        attributes = {
            "task": task, "task_index": benchmark.task(task).index,
            "source_hash": "source", "fingerprint": "fingerprint",
        }  # fmt: skip
        write_part(part, _episode(benchmark, length, index, keep_every, codec, size), attributes)
        parts[index] = part
    attributes = {"benchmark": benchmark.name, "robot": benchmark.robot.name, "image_size": size}
    kept = {index: index in held_out for index in parts}
    concatenate(path, parts, kept, {**attributes, "settings_hash": "settings"})
    return path


def _episode(
    benchmark: Benchmark, length: int, seed: int, keep_every: int, codec: codecs.Codec, size: int
) -> Episode:
    generator = np.random.default_rng(seed)
    width = benchmark.robot.action_width
    rows = np.arange(0, length, keep_every, dtype=np.int64)
    return Episode(
        actions=generator.normal(size=(length, width)).astype(np.float32),
        state=generator.normal(size=(length, width)).astype(np.float32),
        stage=(np.arange(length) * 3 // length).astype(np.int32),
        timestamp=np.arange(length) / 30,
        frame_index=rows,
        frames={name: _frames(generator, len(rows), codec, size) for name in benchmark.cameras},
    )


def _frames(
    generator: np.random.Generator, count: int, codec: codecs.Codec, size: int
) -> codecs.EncodedFrames:
    images = generator.integers(0, 256, (count, 1, 1, 3)) + np.arange(size)[:, None]
    images = np.broadcast_to(images % 256, (count, size, size, 3)).astype(np.uint8)
    frames = [av.VideoFrame.from_ndarray(image, format="rgb24") for image in images]
    if codec == "jpeg":
        return codecs.encode_jpegs(frames, 90)
    planar = [frame.reformat(format="yuv420p") for frame in frames]
    return codecs.encode_h264(planar, group=5, quality=23, frames_per_second=30)


def make_statistics(benchmark: Benchmark) -> Statistics:
    """Of both tasks, with a scale of its own for every step and dimension."""
    width = benchmark.robot.action_width
    generator = np.random.default_rng(0)
    mean, scale = generator.normal(size=width), generator.uniform(0.5, 2.0, size=width)
    return Statistics(
        robot=benchmark.robot.name, benchmark=benchmark.name, tasks=(RADIO, TRASH),
        source_hash="source", state_mean=mean, state_std=scale, state_q01=mean - scale,
        state_q99=mean + scale, action_mean=mean, action_std=scale, action_q01=mean - scale,
        action_q99=mean + scale, chunk_mean=generator.normal(size=(HORIZON, width)),
        chunk_std=generator.uniform(0.5, 2.0, size=(HORIZON, width)),
        correlation=np.eye(HORIZON * width),
        gripper_closed=np.zeros((benchmark.task_count, 15, 2), dtype=bool),
        per_timestep=benchmark.robot.per_timestep_mask,
        delta=benchmark.robot.delta_mask,
    )  # fmt: skip


def two_tasks(folder: Path, benchmark: Benchmark) -> Prepared:
    """14 and 11 images of the radio (episodes 0 and 1), 13 of the trash (episode 10000)."""
    radio = write_file(folder / f"{RADIO}.h5", benchmark, RADIO, [40, 33], keep_every=3)
    trash = folder / f"{TRASH}.h5"
    write_file(trash, benchmark, TRASH, [37], first=10_000, keep_every=3)
    return [radio, trash], make_statistics(benchmark)


def make_loader(
    prepared: Prepared, benchmark: Benchmark, loader: dict[str, Any] | None = None, **changes: Any
) -> Loader:
    """A loader with batches of 8; `loader` are settings, `changes` other arguments."""
    files, statistics = prepared
    arguments = {"horizon": HORIZON, "batch_size": 8, "seed": 3, **changes}
    return Loader(
        files, statistics, benchmark, settings=LoaderSettings(**(loader or {})), **arguments
    )
