"""Samples per second of the training loader, and their ratio to a loader that seeks in mp4 files.

    python benchmarks/loader.py [--batches 12] [--size 224] [--processes 1 2] [--packets 4 250]

A sample is one image of each of three cameras and the action chunk. All variants read the same
frames in the same order through the same pipeline; the baseline keeps every mp4 open, so that it
pays for seeking and decoding alone. CPU time (of all threads and processes) says what a sample
costs where wall time also says who else is computing. With --terabyte, instead: the seconds to the
first batch of 10,000 episodes (links to a real one).
"""

from __future__ import annotations

import argparse
import itertools
import os
import tempfile
import threading
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import h5py
import numpy as np
import psutil
from av.video.stream import VideoStream

from hearth.benchmark import Benchmark, load_benchmark
from hearth.core.data_sections import DataSettings
from hearth.core.sections import LoaderSettings
from hearth.core.statistics import Statistics
from hearth.data.codecs import Codec, EncodedFrames, encode_h264, encode_jpegs
from hearth.data.episodes import Episode, concatenate, write_part
from hearth.data.loader import Loader
from hearth.data.loader.reading import SampleReader

HORIZON, RATE = 30, 30
_open = threading.local()


def moving_scene(frames: int, size: int, seed: int) -> list[av.VideoFrame]:
    """rgb24 frames of soft blobs that drift over a textured room: 10 kB each as JPEG at 224."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:size, 0:size] / size
    texture = generator.normal(scale=2.0, size=(size, size, 3))
    found = []
    for number in range(frames):
        image = 120 + 50 * np.stack([rows, columns, 1 - rows], axis=-1) + texture
        for blob in range(6):
            angle = number / 25 + blob
            row, column = 0.5 + 0.35 * np.sin(angle), 0.5 + 0.35 * np.cos(1.3 * angle)
            inside = (rows - row) ** 2 + (columns - column) ** 2 < 0.012
            image[inside] = generator.permutation([40.0, 200.0, 90.0]) if not number else blob * 40
        pixels = np.clip(image, 0, 255).astype(np.uint8)
        found.append(av.VideoFrame.from_ndarray(pixels, format="rgb24"))
    return found


def write_file(
    folder: Path,
    benchmark: Benchmark,
    codec: Codec,
    scenes: list[list[av.VideoFrame]],
    keep: int,
    group: int = DataSettings().group_of_pictures,
) -> Path:
    """A prepared file of one episode per scene, every camera the same scene; all rows random."""
    data, parts = DataSettings(group_of_pictures=group), {}
    size, task = scenes[0][0].width, benchmark.tasks[0]
    for index, frames in enumerate(scenes):
        rows, width = len(frames) * keep, benchmark.robot.action_width
        generator = np.random.default_rng(index)
        episode = Episode(
            actions=generator.normal(size=(rows, width)).astype(np.float32),
            state=generator.normal(size=(rows, width)).astype(np.float32),
            stage=np.zeros(rows, dtype=np.int32),
            timestamp=np.arange(rows) / RATE,
            frame_index=np.arange(0, rows, keep),
            frames=dict.fromkeys(benchmark.cameras, encode(frames, codec, data)),
        )
        part = folder / f"{codec}-{group}-{index}.h5"
        facts = {"source_hash": "", "fingerprint": ""}
        write_part(part, episode, {"task": task.name, "task_index": task.index, **facts})
        parts[index] = part
    path = folder / f"{codec}-{group}.h5"
    attributes = {"benchmark": benchmark.name, "robot": benchmark.robot.name, "image_size": size}
    held_out = dict.fromkeys(parts, False)
    concatenate(path, parts, held_out, {**attributes, "settings_hash": ""})
    return path


def encode(frames: list[av.VideoFrame], codec: Codec, data: DataSettings) -> EncodedFrames:
    """As `hearth prepare` does by default."""
    if codec == "jpeg":
        return encode_jpegs(frames, data.jpeg_quality)
    planar = [frame.reformat(format="yuv420p") for frame in frames]
    return encode_h264(
        planar, group=data.group_of_pictures, quality=data.h264_quality, frames_per_second=RATE
    )


def write_videos(folder: Path, scenes: list[list[av.VideoFrame]], group: int) -> None:
    """One mp4 per episode."""
    for index, frames in enumerate(scenes):
        with av.open(str(folder / f"{index}.mp4"), "w") as container:
            stream = container.add_stream("libx264", rate=RATE, options={"crf": "20"})
            assert isinstance(stream, VideoStream)
            stream.width, stream.height, stream.pix_fmt = (
                frames[0].width,
                frames[0].height,
                "yuv420p",
            )
            stream.gop_size = group
            for number, frame in enumerate(frames):
                planar = frame.reformat(format="yuv420p")
                planar.pts, planar.time_base = number, Fraction(1, RATE)
                container.mux(stream.encode(planar))
            container.mux(stream.encode(None))


class VideoReader(SampleReader):
    """The baseline: images from mp4 files, one per episode and camera, open once in each thread."""

    folder: Path

    def images(
        self, camera: int, samples: np.ndarray, into: np.ndarray | None = None
    ) -> np.ndarray:
        places, slots = self.index.locate(samples)
        episodes = self.index.episodes["episode"][places]
        found = [self._frame(camera, *at) for at in zip(episodes, slots.tolist(), strict=True)]
        return np.stack([frame.to_ndarray(format="rgb24") for frame in found], out=into)

    def _frame(self, camera: int, episode: int, slot: int) -> av.VideoFrame:
        containers = _open.__dict__.setdefault("containers", {})
        if (camera, episode) not in containers:
            containers[camera, episode] = av.open(str(self.folder / f"{episode}.mp4"))
        container = containers[camera, episode]
        stream = container.streams.video[0]
        target = round(slot / RATE / stream.time_base)
        container.seek(target, stream=stream)
        return next(frame for frame in container.decode(stream) if frame.pts >= target)


def make_statistics(benchmark: Benchmark) -> Statistics:
    """Of nothing: zero means and unit deviations."""
    width = benchmark.robot.action_width
    zeros, ones = np.zeros(width), np.ones(width)
    return Statistics(
        robot=benchmark.robot.name, benchmark=benchmark.name,
        tasks=(benchmark.tasks[0].name,), source_hash="",
        state_mean=zeros, state_std=ones, state_q01=-ones, state_q99=ones,
        action_mean=zeros, action_std=ones, action_q01=-ones, action_q99=ones,
        chunk_mean=np.zeros((HORIZON, width)), chunk_std=np.ones((HORIZON, width)),
        correlation=np.eye(HORIZON * width),
        gripper_closed=np.zeros((benchmark.task_count, 15, 2), dtype=bool),
        per_timestep=benchmark.robot.per_timestep_mask, delta=benchmark.robot.delta_mask,
    )  # fmt: skip


def measure(loader: Loader, batches: int) -> tuple[float, float]:
    """Samples per second, and CPU milliseconds per sample of this process and its children."""
    iterator = iter(loader)
    try:
        # What was read ahead before the clock starts must be used up before it counts.
        ahead = loader.settings.batches_ahead * max(1, loader.settings.workers)
        for _ in itertools.islice(iterator, ahead + 2):
            pass
        wall, processor = time.perf_counter(), processor_seconds()
        for _ in itertools.islice(iterator, batches):
            pass
        wall, processor = time.perf_counter() - wall, processor_seconds() - processor
    finally:
        iterator.close()
    samples = batches * loader.batch_size
    return samples / wall, 1e3 * processor / samples


def processor_seconds() -> float:
    """CPU time so far of this process and its living children."""
    me = psutil.Process()
    times = [process.cpu_times() for process in (me, *me.children(recursive=True))]
    return sum(item.user + item.system for item in times)


def compare(arguments: argparse.Namespace, folder: Path) -> None:
    """All variants, one after the other; a second round for those that a busy moment hit."""
    benchmark = load_benchmark("household")
    statistics = make_statistics(benchmark)
    scenes = [
        moving_scene(arguments.frames, arguments.size, seed) for seed in range(arguments.episodes)
    ]
    files = {"jpeg": write_file(folder, benchmark, "jpeg", scenes, 1)}
    for group in arguments.packets:
        name = f"h264, group {group}"
        files[name] = write_file(folder, benchmark, "h264", scenes, 1, group)
    images = arguments.frames * arguments.episodes * 3
    for name, path in files.items():
        print(f"{name}: {path.stat().st_size / images:,.0f} bytes an image")

    def loader(path: Path, workers: int) -> Loader:
        settings = LoaderSettings(workers=workers, threads=2, batches_ahead=2, image_memory_bytes=0)
        return Loader([path], statistics, benchmark, HORIZON, arguments.batch, 0, settings=settings)

    variants: dict[str, Loader] = {}
    for group in arguments.groups:
        videos = folder / f"videos-{group}"
        videos.mkdir()
        write_videos(videos, scenes, group)
        seeking = loader(files["jpeg"], 0)
        seeking.reader = VideoReader(seeking.index, HORIZON, benchmark.robot.action_width)
        seeking.reader.folder = videos
        variants[f"mp4, group {group}, 2 threads"] = seeking
    for name, path in files.items():
        variants[f"{name}, 2 threads"] = loader(path, 0)
        for count in arguments.processes:
            variants[f"{name}, {count} processes"] = loader(path, count)
    report(variants, arguments)


def report(variants: dict[str, Loader], arguments: argparse.Namespace) -> None:
    """Best of the rounds by variant, and its ratios to the first, the baseline."""
    best: dict[str, tuple[float, float]] = {}
    for _ in range(arguments.rounds):
        for name, variant in variants.items():
            speed, cost = measure(variant, arguments.batches)
            before = best.get(name, (0.0, float("inf")))
            best[name] = max(before[0], speed), min(before[1], cost)
    base_speed, base_cost = next(iter(best.values()))
    print(f"{'':26} samples/s  CPU ms/sample  x baseline: wall    CPU   per CPU second")
    for name, (speed, cost) in best.items():
        print(
            f"{name:26} {speed:9.0f} {cost:14.3f} {speed / base_speed:17.2f} "
            f"{base_cost / cost:6.2f} {1e3 / cost:16.0f}"
        )


def first_batch(arguments: argparse.Namespace, folder: Path) -> None:
    """Seconds to the first batch of a set of a terabyte: without and with its kept index."""
    benchmark = load_benchmark("household")
    # An episode of 13,000 rows, every third with images, as the 2025 set has on average.
    frames = moving_scene(100, arguments.size, 0)
    path = write_file(folder, benchmark, "jpeg", [frames * 43], keep=3)
    with h5py.File(path, "r+") as file:
        episode: Any = file["0"]
        for number in range(1, 200):
            group = file.create_group(str(number))
            for name in episode:
                group[name] = episode[name]  # a link
            group.attrs.update(episode.attrs)
    size = path.stat().st_size
    files = [folder / f"{number:02d}.h5" for number in range(50)]
    for file in files:
        os.link(path, file)
    statistics = make_statistics(benchmark)
    print(f"{50 * 200:,} episodes that stand for {size * 50 * 200 / 1e12:.1f} TB")
    for name in ("index made", "index kept"):
        for workers in (0, *arguments.processes):
            settings = LoaderSettings(workers=workers, image_memory_bytes=0)
            start = time.perf_counter()
            loader = Loader(
                files, statistics, benchmark, HORIZON, arguments.batch, 0, settings=settings
            )
            ready = time.perf_counter() - start
            iterator = iter(loader)
            next(iterator)
            seconds = time.perf_counter() - start
            iterator.close()
            print(
                f"{name}, {workers} processes: index {ready:.2f} s, first batch {seconds:.2f} s "
                f"({len(loader):,} samples)"
            )
            if name == "index made":
                break  # there is one now


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--batches", type=int, default=12, help="measured in each round")
    parser.add_argument("--rounds", type=int, default=2, help="the best of each variant counts")
    parser.add_argument("--size", type=int, default=224, help="pixels")
    parser.add_argument("--episodes", type=int, default=3)
    parser.add_argument("--frames", type=int, default=240, help="of an episode")
    parser.add_argument("--groups", type=int, nargs="+", default=[15, 250], help="of the mp4 files")
    parser.add_argument("--packets", type=int, nargs="+", default=[4], help="groups of h264 files")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--terabyte", action="store_true", help="time the first batch instead")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        (first_batch if arguments.terabyte else compare)(arguments, Path(folder))


if __name__ == "__main__":
    main()
