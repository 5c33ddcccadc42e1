"""Encode and decode one camera of one episode with PyAV."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from hearth.core.errors import DataError
from hearth.core.files import atomic_path

CODEC = "libx264"
PIXEL_FORMAT = "yuv420p"
GROUP_OF_PICTURES = 15  # frames between two key frames: quick seeks at little cost in bytes
# Small images show every artefact, and at 64 pixels a frame is 150 bytes anyway. Without the
# macroblock tree, which with AVX-512 gives other bytes from one time to the next at widths that are
# no multiple of 256.
_OPTIONS = {"crf": "14", "preset": "veryfast", "x264-params": "mbtree=0"}
# Names that encoders give in info.json, by the codec's own name.
_CODEC_OF = {"libx264": "h264", "avc1": "h264", "libx265": "hevc", "h265": "hevc",
             "libsvtav1": "av1", "libaom-av1": "av1"}  # fmt: skip


@dataclass(frozen=True)
class VideoSpan:
    """The frames of one episode in an mp4, which may hold those of other episodes too.

    Attributes:
        first: number of the episode's first frame in the file.
        length: frames, as many as the episode's table has rows.
        whole: the file holds this episode alone, so it must end with it.
        height, width: pixels, as the data set's info.json says.
        codec: the codec's name by info.json, None where it names none.
    """

    path: Path
    first: int
    length: int
    whole: bool
    frames_per_second: int
    height: int
    width: int
    codec: str | None


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


@contextlib.contextmanager
def open_video(span: VideoSpan) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open an mp4 and check what it holds before anything is decoded.

    Raises:
        DataError: the file is missing or unreadable, holds no video, or one of another size or
            codec than info.json says.
    """
    if not span.path.is_file():
        raise DataError(f"{span.path} does not exist")
    try:
        container = av.open(str(span.path))
    except (av.error.FFmpegError, OSError) as error:
        raise DataError(f"{span.path} cannot be opened as a video: {error}") from error
    with container:
        if not container.streams.video:
            raise DataError(f"{span.path} holds no video stream")
        stream = container.streams.video[0]
        stream.thread_count = 1
        found, codec = stream.codec_context, stream.codec_context.codec.canonical_name
        if (found.height, found.width) != (span.height, span.width):
            raise DataError(
                f"{span.path} is {found.width}x{found.height} pixels; info.json says "
                f"{span.width}x{span.height}"
            )
        if span.codec is not None and codec != _CODEC_OF.get(span.codec, span.codec):
            raise DataError(f"{span.path} is coded as {codec}; info.json says {span.codec}")
        yield container, stream


def seek(container: InputContainer, stream: VideoStream, span: VideoSpan) -> None:
    """Go to the last key frame at or before the span's first frame."""
    if span.first:
        assert stream.time_base is not None
        seconds = span.first / span.frames_per_second
        offset = round(seconds / stream.time_base) + (stream.start_time or 0)
        container.seek(offset, stream=stream)


def frame_number(pts: int | None, stream: VideoStream, span: VideoSpan) -> int:
    """The number in the file of what is shown at `pts`.

    Raises:
        DataError: there is no time, or it lies between two frames.
    """
    if pts is None or stream.time_base is None:
        raise DataError(f"{span.path} has frames without a time")
    position = float((pts - (stream.start_time or 0)) * stream.time_base) * span.frames_per_second
    if abs(position - round(position)) > 0.1:
        raise DataError(
            f"{span.path} has a frame at {position / span.frames_per_second:.4f} s, between two "
            f"steps of {span.frames_per_second} Hz"
        )
    return round(position)


def decode_span(span: VideoSpan, every: int = 1) -> Iterator[av.VideoFrame]:
    """Yield frames 0, every, 2 * every... of the span as decoded; all its frames are decoded.

    Raises:
        DataError: the file is missing, another size or codec, cannot be decoded to the span's end,
            or has another number of frames than the span.
    """
    count = 0
    try:
        with open_video(span) as (container, stream):
            seek(container, stream, span)
            for frame in container.decode(stream):
                if not span.whole:
                    number = frame_number(frame.pts, stream, span) - span.first
                    if number < 0:
                        continue
                    if number != count:
                        raise DataError(
                            f"{span.path} jumps to frame {number} of the episode where frame "
                            f"{count} is due"
                        )
                if count % every == 0 and count < span.length:
                    yield frame
                count += 1
                if not span.whole and count == span.length:
                    return
    except (av.error.FFmpegError, OSError) as error:
        raise DataError(f"{span.path} cannot be decoded after frame {count}: {error}") from error
    if span.whole and count != span.length:
        raise DataError(f"{span.path} has {count} frames; its table has {span.length} rows")
    if count != span.length:
        raise DataError(
            f"{span.path} ends early: {count} of the episode's {span.length} frames are there"
        )


def decode_images(span: VideoSpan, every: int = 1) -> Iterator[np.ndarray]:
    """`decode_span` as uint8[height, width, 3] RGB."""
    # One reformatter for all frames: a new one per frame costs five times the decoding.
    reformatter = VideoReformatter()
    for frame in decode_span(span, every):
        yield reformatter.reformat(frame, format="rgb24", threads=1).to_ndarray()
