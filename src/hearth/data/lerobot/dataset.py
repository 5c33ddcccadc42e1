"""One interface to both LeRobot layouts: an episode's table, and the frames of its cameras."""

from __future__ import annotations

import abc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np

from hearth.benchmark import Benchmark
from hearth.core.errors import DataError, choices
from hearth.core.files import read_json
from hearth.data.lerobot import layout
from hearth.data.lerobot.tables import Table
from hearth.data.lerobot.video import VideoSpan, decode_images, decode_span


class Dataset(abc.ABC):
    """A data set folder. Tasks and cameras that nobody asks for may be absent.

    Raises:
        DataError: no index, another rate, or another robot's layout.
    """

    version: str  # LeRobot's codebase_version

    def __init__(self, root: Path | str, benchmark: Benchmark) -> None:
        self.root = Path(root)
        self.benchmark = benchmark
        path = self.root / "meta" / "info.json"
        self.info = read_json(path)
        robot = benchmark.robot
        expected = {
            "codebase_version": self.version,
            "fps": benchmark.frames_per_second,
        }
        for key, value in expected.items():
            if self.info.get(key) != value:
                raise DataError(f"{path}: {key} is {self.info.get(key)!r}; needed is {value!r}")
        self.widths = {layout.ACTION: robot.action_width, layout.STATE: robot.proprioception_width}
        for name, width in self.widths.items():
            shape = self._features.get(name, {}).get("shape")
            if shape != [width]:
                raise DataError(
                    f"{path}: '{name}' has shape {shape}; robot '{robot.name}' of benchmark "
                    f"'{benchmark.name}' has [{width}]: the data set is of another robot layout"
                )

    @property
    def _features(self) -> dict[str, Any]:
        return self.info.get("features", {})

    @abc.abstractmethod
    def episodes(self, task: str) -> tuple[int, ...]:
        """Episode indices of `task` by the index, in order.

        Raises:
            DataError: the task is not there, or the index is damaged.
        """

    @abc.abstractmethod
    def length(self, episode: int) -> int:
        """The episode's frames by the index; an error where it has no such episode."""

    @abc.abstractmethod
    def table_path(self, episode: int) -> Path:
        """The file that holds the episode's table."""

    @abc.abstractmethod
    def read_table(self, episode: int) -> Table:
        """The episode's table.

        Raises:
            DataError: missing, truncated, another layout, or another length than in the index.
        """

    @abc.abstractmethod
    def annotation_path(self, episode: int) -> Path:
        """The episode's file of skill segments (it may be absent)."""

    @abc.abstractmethod
    def _place(self, episode: int, key: str) -> tuple[Path, int, bool]:
        """The mp4 of a video key, the episode's first frame in it, and whether it is alone."""

    def video(self, episode: int, camera: str) -> VideoSpan:
        """Where the frames of a camera lie; `camera` is named as in the benchmark.

        Raises:
            DataError: the benchmark or the data set has no such camera.
        """
        if camera not in self.benchmark.cameras:
            raise DataError(f"unknown camera '{camera}': {choices(camera, self.benchmark.cameras)}")
        key = self.benchmark.cameras[camera].dataset_key
        videos = {k: f for k, f in self._features.items() if f.get("dtype") == "video"}
        if key not in videos:
            raise DataError(f"{self.root} has no camera '{key}': {choices(key, videos)}")
        height, width = self._image_shape(key, videos[key])
        path, first, whole = self._place(episode, key)
        return VideoSpan(
            path=path,
            first=first,
            length=self.length(episode),
            whole=whole,
            frames_per_second=self.benchmark.frames_per_second,
            height=height,
            width=width,
            codec=videos[key].get("info", {}).get("video.codec"),
        )

    def _image_shape(self, key: str, feature: dict[str, Any]) -> tuple[int, int]:
        shape, names = feature.get("shape"), feature.get("names")
        if isinstance(names, list) and isinstance(shape, list) and len(names) == len(shape) == 3:
            sizes = dict(zip(names, shape, strict=True))
            if {"height", "width"} <= sizes.keys():
                return int(sizes["height"]), int(sizes["width"])
        raise DataError(f"{self.root / 'meta/info.json'}: '{key}' has shape {shape} of {names}")

    def video_path(self, episode: int, camera: str) -> Path:
        """The mp4 of a camera."""
        return self.video(episode, camera).path

    def sources(self, episode: int) -> list[Path]:
        """Every file that the episode's table and cameras are read from."""
        videos = [self.video_path(episode, camera) for camera in self.benchmark.cameras]
        return [self.table_path(episode), *videos]

    def decode(self, episode: int, camera: str, every: int = 1) -> Iterator[av.VideoFrame]:
        """Yield every `every`-th frame as decoded; the count of all is checked.

        Raises:
            DataError: missing, truncated, another size or codec, or another number of frames than
                the index says.
        """
        return decode_span(self.video(episode, camera), every)

    def read_frames(self, episode: int, camera: str, every: int = 1) -> Iterator[np.ndarray]:
        """`decode` as uint8[height, width, 3] RGB."""
        return decode_images(self.video(episode, camera), every)
