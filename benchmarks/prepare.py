"""What preparing costs beside decoding, scaling and encoding the frames, which it cannot avoid.

    python benchmarks/prepare.py [--episodes 3] [--frames 300] [--source 480] [--hevc] [--group 4]

The baseline is a plain loop over PyAV and the encoders of the same run, on the same videos. Both
work in one process and are timed in turns; processor time says what they cost where wall time
mostly says who else is computing. Also printed: bytes per image, and random reads of one image.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import simplejpeg
from av.video.reformatter import VideoReformatter

from hearth.benchmark import Benchmark, load_benchmark
from hearth.core.records import Demonstration
from hearth.core.results import Results
from hearth.core.settings import Settings, validate_settings
from hearth.data.episodes import read_tables
from hearth.data.frames import FrameReader
from hearth.data.lerobot import DatasetWriter, open_dataset, write_index
from hearth.data.prepare import prepare_task

TASK = "turning_on_radio"
JPEG_QUALITY, H264_QUALITY = 90, 20


def moving_pictures(length: int, size: int, seed: int) -> np.ndarray:
    """uint8[length, size, size, 3]: a soft random texture under a camera that wanders."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (size // 4, size // 4, 3), dtype=np.uint8)
    picture = av.VideoFrame.from_ndarray(coarse, "rgb24").reformat(2 * size, 2 * size)
    texture = picture.to_ndarray(format="rgb24")
    steps = np.cumsum(random.normal(0, 2, (length, 2)), axis=0)
    places = np.clip(steps + size / 2, 0, size - 1).astype(int)
    return np.stack([texture[y : y + size, x : x + size] for y, x in places])


def make_dataset(root: Path, benchmark: Benchmark, episodes: int, frames: int, size: int) -> None:
    """A LeRobot v2.1 data set of random motions and moving pictures."""
    robot, writer = benchmark.robot, DatasetWriter(root, benchmark)
    entries = []
    for number in range(episodes):
        random = np.random.default_rng(number)
        middle = (robot.lower + robot.upper) / 2
        demonstration = Demonstration(
            task=TASK,
            instance_id=number,
            seed=number,
            success=True,
            actions=np.tile(middle, (frames, 1)).astype(np.float32),
            proprioception=random.normal(size=(frames, robot.proprioception_width)).astype("f4"),
            frames={name: moving_pictures(frames, size, 10 * number + place)
                    for place, name in enumerate(benchmark.cameras)},
            expert_stages=np.zeros(frames, dtype=np.int32),
        )  # fmt: skip
        entries.append(writer.write_episode(demonstration, number))
    write_index(root, benchmark, entries, image_size=size)


def code_as_hevc(root: Path, videos: list[Path]) -> None:
    """Code the videos as the published sets are: HEVC, a key frame every 250, frames reordered."""
    options = {"preset": "veryfast", "x265-params": "log-level=none"}
    for path in videos:
        fresh = path.with_suffix(".new")
        with av.open(str(path)) as source, av.open(str(fresh), "w", format="mp4") as target:
            picture = source.streams.video[0]
            stream = target.add_stream("libx265", rate=30, options=options)
            stream.width, stream.height = picture.width, picture.height
            stream.pix_fmt = "yuv420p"
            for frame in source.decode(video=0):
                frame.pict_type = 0
                target.mux(stream.encode(frame))
            target.mux(stream.encode())
        fresh.replace(path)
    info = json.loads((root / "meta/info.json").read_text())
    for feature in info["features"].values():
        if feature["dtype"] == "video":
            feature["info"]["video.codec"] = "libx265"
    (root / "meta/info.json").write_text(json.dumps(info))


def decode_and_encode(videos: list[Path], size: int, codec: str, group: int) -> None:
    """The baseline: nothing but FFmpeg and the encoder."""
    for path in videos:
        scaler = VideoReformatter()
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.thread_count = 1
            encoder = av.CodecContext.create("libx264", "w")
            encoder.width = encoder.height = size
            encoder.pix_fmt, encoder.time_base = "yuv420p", Fraction(1, 30)
            encoder.framerate, encoder.thread_count = Fraction(30), 1
            encoder.gop_size, encoder.max_b_frames = group, 0
            encoder.options = {"crf": str(H264_QUALITY), "preset": "veryfast"}
            for frame in container.decode(stream):
                if codec == "jpeg":
                    image = scaler.reformat(frame, size, size, "rgb24", interpolation="BILINEAR")
                    simplejpeg.encode_jpeg(
                        image.to_ndarray(), quality=JPEG_QUALITY, colorsubsampling="444"
                    )
                else:
                    frame = scaler.reformat(frame, size, size, "yuv420p", interpolation="BILINEAR")
                    frame.pict_type = 0
                    encoder.encode(frame)
            if codec == "h264":
                encoder.encode(None)


def settings_of(folder: Path, size: int, codec: str, group: int) -> Settings:
    data = {
        "dataset": str(folder / "dataset"),
        "image_size": size,
        "codec": codec,
        "jpeg_quality": JPEG_QUALITY,
        "group_of_pictures": group,
        "h264_quality": H264_QUALITY,
    }
    values = {"experiment": codec, "results": str(folder), "benchmark": "household", "data": data}
    return validate_settings(values, source="benchmark")


def clock(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor seconds."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


def compare(folder: Path, videos: list[Path], codec: str, options: argparse.Namespace) -> None:
    """Print the ratio of one codec, the bytes of an image, and random reads per second."""
    size, group = options.size, options.group
    settings = settings_of(folder, size, codec, group)
    results = Results.of(settings)
    times = []
    for _ in range(options.rounds):
        shutil.rmtree(results.root, ignore_errors=True)
        prepared = clock(lambda: prepare_task(settings, TASK))
        baseline = clock(lambda: decode_and_encode(videos, size, codec, group))
        times.append([prepared, baseline])
    seconds = np.array(times)  # [rounds, (prepare, baseline), (wall, processor)]
    wall, processor = np.median(seconds[:, 0] / seconds[:, 1], axis=0)
    mean = np.median(seconds[..., 1], axis=0)
    path = results.episodes(TASK)
    reader, tables = FrameReader(path), read_tables(path)
    images = sum(len(table.frame_index) for table in tables) * 3
    print(
        f"{codec}: prepare {mean[0]:.2f} s, decode + encode {mean[1]:.2f} s of processor time "
        f"({1e3 * mean[0] / images:.2f} and {1e3 * mean[1] / images:.2f} ms an image); "
        f"prepare / (decode + encode): processor {processor:.2f}, wall {wall:.2f}"
    )
    random = np.random.default_rng(0)
    wanted = [(tables[i].index, int(random.integers(len(tables[i].frame_index))))
              for i in random.integers(0, len(tables), 200)]  # fmt: skip
    reads = clock(lambda: [reader.read_frames(e, "head", [s]) for e, s in wanted])
    print(
        f"{codec}: {path.stat().st_size / images:.0f} bytes an image, "
        f"{len(wanted) / reads[1]:.0f} random reads per second of processor time"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--episodes", type=int, default=3)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--source", type=int, default=480, help="pixels of the videos")
    parser.add_argument("--size", type=int, default=224, help="pixels of the prepared images")
    parser.add_argument("--hevc", action="store_true", help="videos in HEVC instead of h264")
    parser.add_argument("--group", type=int, default=4, help="frames between h264 key frames")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    benchmark = load_benchmark("household")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_dataset(
            folder / "dataset", benchmark, arguments.episodes, arguments.frames, arguments.source
        )
        dataset = open_dataset(folder / "dataset", benchmark)
        videos = [
            dataset.video_path(episode, camera)
            for episode in dataset.episodes(TASK)
            for camera in benchmark.cameras
        ]
        if arguments.hevc:
            code_as_hevc(folder / "dataset", videos)
        for codec in ("jpeg", "h264"):
            compare(folder, videos, codec, arguments)


if __name__ == "__main__":
    main()
