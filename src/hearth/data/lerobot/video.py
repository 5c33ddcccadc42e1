"""Encode and decode one camera of one episode with PyAV."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import av.error
import numpy as np
from av.video.reformatter import VideoReformatter

from hearth.core.errors import DataError
from hearth.core.files import atomic_path

CODEC = "libx264"
PIXEL_FORMAT = "yuv420p"
GROUP_OF_PICTURES = 15  # frames between two key frames: quick seeks at little cost in bytes
# Small images show every artefact, and at 64 pixels a frame is 150 bytes anyway.
_OPTIONS = {"crf": "14", "preset": "veryfast"}


def encode_video(path: Path, frames: np.ndarray, frames_per_second: int) -> None:
    """Write uint8[T, height, width, 3] atomically as an h264 mp4; same frames, same bytes.

    Raises:
        DataError: the frames are not uint8 RGB or have an odd size (h264 halves the chroma).
    """
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3:
        raise DataError(f"{path}: frames must be uint8[T,h,w,3], not {frames.dtype}{frames.shape}")
    height, width = frames.shape[1:3]
    if height % 2 or width % 2 or not len(frames):
        raise DataError(f"{path}: cannot encode {len(frames)} frames of {height}x{width}")
    with atomic_path(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        stream = container.add_stream(CODEC, rate=frames_per_second, options=_OPTIONS)
        stream.width, stream.height, stream.pix_fmt = width, height, PIXEL_FORMAT
        stream.gop_size = GROUP_OF_PICTURES
        stream.thread_count = 1  # episodes run side by side; threads would only add start-up time
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def decode_video(path: Path, length: int, every: int = 1) -> Iterator[np.ndarray]:
    """Yield uint8[height, width, 3] of frames 0, every, 2 * every...; all frames are decoded.

    Raises:
        DataError: the file is missing, cannot be decoded to its end, or has another number of
            frames than `length`.
    """
    if not path.is_file():
        raise DataError(f"{path} does not exist")
    count = 0
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise DataError(f"{path} holds no video stream")
            stream = container.streams.video[0]
            stream.thread_count = 1
            # One reformatter for all frames: a new one per frame costs five times the decoding.
            reformatter = VideoReformatter()
            for frame in container.decode(stream):
                if count % every == 0:
                    yield reformatter.reformat(frame, format="rgb24").to_ndarray()
                count += 1
    except (av.error.FFmpegError, OSError) as error:
        raise DataError(f"{path} cannot be decoded after frame {count}: {error}") from error
    if count != length:
        raise DataError(f"{path} has {count} frames; its table has {length} rows")
