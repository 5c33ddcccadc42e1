"""Episode videos: small H.264 files that a browser plays while they load."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer

from hearth.core.files import atomic_path

# The same frames must give the same bytes: one thread, for encoders split work by core count, and
# no macroblock tree, which with AVX-512 differs from one time to the next.
_OPTIONS = {"crf": "28", "preset": "veryfast", "threads": "1", "x264-params": "mbtree=0"}


class Video:
    """Frames of one size, written as they come."""

    def __init__(self, container: OutputContainer, size: int, rate: int) -> None:
        self._container = container
        self._stream = container.add_stream("libx264", rate=Fraction(rate), options=_OPTIONS)
        self._stream.width = self._stream.height = size
        self._stream.pix_fmt = "yuv420p"
        self.frames = 0

    def add(self, frame: np.ndarray) -> None:
        """Append one frame, uint8[size, size, 3]."""
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        picture.pts = self.frames
        self._container.mux(self._stream.encode(picture))
        self.frames += 1

    def finish(self) -> None:
        """Write what the encoder still holds."""
        self._container.mux(self._stream.encode(None))


@contextlib.contextmanager
def video_file(path: Path, size: int, rate: int) -> Iterator[Video]:
    """Yield a `Video`; `path` appears only when the block ends without an error.

    Args:
        path: the mp4 file.
        size: width and height [pixels], rounded up to an even number by the caller.
        rate: frames per second.
    """
    with atomic_path(path) as temporary:
        container = av.open(str(temporary), "w", format="mp4", options={"movflags": "+faststart"})
        try:
            video = Video(container, size, rate)
            yield video
            video.finish()
        finally:
            container.close()


def is_whole(path: Path) -> bool:
    """Whether an mp4 was closed: its boxes add up to the file, and one is the index `moov`.

    A writer leaves the size of the pictures' box open until the end, and adds the index last.
    """
    position, index, size = 0, False, path.stat().st_size
    with path.open("rb") as file:
        while position < size:
            file.seek(position)
            head = file.read(16)
            length = int.from_bytes(head[:4], "big")
            if length == 1:  # the length follows in 64 bits
                length = int.from_bytes(head[8:16], "big")
            if length < 8:
                return False
            index = index or head[4:8] == b"moov"
            position += length
    return index and position == size
