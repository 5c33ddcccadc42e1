"""Prepare one episode: read, verify, encode, write its part."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hearth.benchmark import Benchmark
from hearth.core.data_sections import DataSettings
from hearth.core.errors import DataError
from hearth.core.files import hash_file, hash_json
from hearth.data import episodes
from hearth.data.codecs import PIXEL_FORMATS, Codec, EncodedFrames, encode_h264, encode_jpegs
from hearth.data.conversion import FrameConverter
from hearth.data.lerobot import Dataset, open_dataset
from hearth.data.packets import copy_packets
from hearth.data.stages import annotation_stages, time_stages
from hearth.data.verify import verify_table

_FORMAT = 2  # raise it when the content of prepared episodes changes
# The settings that decide the content, by codec.
_SETTINGS: dict[Codec, set[str]] = {
    "jpeg": {"image_size", "keep_every", "stage_labels", "jpeg_quality"},
    "h264": {"image_size", "keep_every", "stage_labels", "group_of_pictures", "h264_quality"},
}


@dataclass(frozen=True)
class Preparation:
    """What a worker needs to prepare any episode of one task; picklable.

    Attributes:
        root: the data set, or the folder of one data set per task.
        codec: what ``data.codec: auto`` has come to.
    """

    root: Path
    benchmark: Benchmark
    data: DataSettings
    task: str
    codec: Codec

    @functools.cached_property
    def dataset(self) -> Dataset:
        return open_dataset(self.root, self.benchmark, self.task)

    def settings_hash(self) -> str:
        """Over everything but the source files that decides the content of a prepared episode."""
        data = self.data.model_dump(include=_SETTINGS[self.codec])
        facts = self.benchmark.model_dump(include={"name", "frames_per_second", "robot", "cameras"})
        task = self.benchmark.task(self.task)
        return hash_json([_FORMAT, self.codec, data, facts, task.index, task.name, task.stages])

    def sources(self, episode: int) -> list[Path]:
        """The files that the prepared episode is made from."""
        paths = self.dataset.sources(episode)
        if self.data.stage_labels == "annotations":
            paths.append(self.dataset.annotation_path(episode))
        return paths

    def fingerprint(self, episode: int) -> str:
        """Quick to take: settings, index, and size and time of change of every source file."""
        try:
            places = [self._place(episode, camera) for camera in self.benchmark.cameras]
            stats = [_stat(path, self.root) for path in self.sources(episode)]
        except DataError as error:  # the index is at odds with itself: the episode is bad
            places, stats = [str(error)], []
        length = self.dataset.length(episode)
        return hash_json([self.settings_hash(), episode, length, places, stats])

    def _place(self, episode: int, camera: str) -> list[int | str]:
        span = self.dataset.video(episode, camera)
        return [span.path.name, span.first, span.height, span.width, str(span.codec)]

    def prepare(self, episode: int, part: Path, fingerprint: str) -> str | None:
        """Write the part of one episode; returns why it is bad, or None."""
        try:
            table = self.dataset.read_table(episode)
            verify_table(table, self.benchmark.robot, self.benchmark.frames_per_second)
            length = len(table.actions)
            stage = self._stages(episode, length)
            frames = {camera: self._encode(episode, camera) for camera in self.benchmark.cameras}
            kept = np.arange(0, length, self.data.keep_every, dtype=np.int64)
            for camera, encoded in frames.items():
                if len(encoded.pieces) != len(kept):
                    raise DataError(
                        f"camera '{camera}' gave {len(encoded.pieces)} images of {len(kept)}"
                    )
            sources = [_hash(path, _stat(path, self.root)) for path in self.sources(episode)]
        except DataError as error:
            return str(error)
        task = self.benchmark.task(self.task)
        prepared = episodes.Episode(
            actions=table.actions,
            state=self.benchmark.robot.state_from_proprioception(table.proprioception),
            stage=stage,
            timestamp=table.timestamps,
            frame_index=kept,
            frames=frames,
        )
        attributes = {
            "task": task.name,
            "task_index": task.index,
            "source_hash": hash_json(sources),
            "fingerprint": fingerprint,
        }
        episodes.write_part(part, prepared, attributes)
        return None

    def _stages(self, episode: int, length: int) -> np.ndarray:
        count = self.benchmark.task(self.task).stages
        if self.data.stage_labels == "annotations":
            return annotation_stages(self.dataset.annotation_path(episode), length, count)
        return time_stages(length, count)

    def _encode(self, episode: int, camera: str) -> EncodedFrames:
        data, span = self.data, self.dataset.video(episode, camera)
        if self.codec == "h264" and data.keep_every == 1:
            copied = copy_packets(span, image_size=data.image_size, group=data.group_of_pictures)
            if copied is not None:
                return copied
        converter = FrameConverter(data.image_size, PIXEL_FORMATS[self.codec])
        decoded = self.dataset.decode(episode, camera, data.keep_every)
        frames = (converter.convert(frame) for frame in decoded)
        if self.codec == "jpeg":
            return encode_jpegs(frames, data.jpeg_quality)
        return encode_h264(
            frames,
            group=data.group_of_pictures,
            quality=data.h264_quality,
            frames_per_second=self.benchmark.frames_per_second,
        )


def _stat(path: Path, root: Path) -> tuple[str, int, int] | None:
    """Name in the data set, which may move, size and time of change; None where there is none."""
    if not path.is_file():
        return None
    found = path.stat()
    return path.relative_to(root).as_posix(), found.st_size, found.st_mtime_ns


@functools.lru_cache(maxsize=64)
def _hash(path: Path, stat: tuple[str, int, int] | None) -> str:
    """The hash of a file; episodes that share a file share the work."""
    return hash_file(path)
