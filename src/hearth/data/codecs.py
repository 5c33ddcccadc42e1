"""How prepared frames are stored: one JPEG each, or h264 packets in short groups of pictures.

Both give one piece of bytes per frame. A JPEG stands for itself; an h264 packet needs the packets
of its group before it, so the slots of the key frames are kept beside the pieces. Packets carry
their own parameter sets (Annex B), which is why no container is needed to read them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import av
import av.error
import numpy as np
from av.codec.context import Flags
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import VideoReformatter

from hearth.core.errors import DataError
from hearth.data.conversion import reformat
from hearth.data.images import decode_jpeg, encode_jpeg

Codec = Literal["jpeg", "h264"]
PIXEL_FORMATS: dict[Codec, str] = {"jpeg": "rgb24", "h264": "yuv420p"}


@dataclass(frozen=True)
class EncodedFrames:
    """The frames of one camera in one episode, K of them in order of time.

    Attributes:
        codec: how the pieces are encoded.
        pieces: K byte strings: JPEG files, or h264 packets with start codes (Annex B).
        key_slots: int64[G], the slots in [0, K) whose piece decodes by itself; slot 0 is one.
    """

    codec: Codec
    pieces: Sequence[bytes]
    key_slots: np.ndarray


def encode_jpegs(frames: Iterable[av.VideoFrame], quality: int) -> EncodedFrames:
    """Encode rgb24 frames one by one (quality 1 to 100)."""
    pieces = [encode_jpeg(frame.to_ndarray(), quality) for frame in frames]
    return EncodedFrames("jpeg", pieces, np.arange(len(pieces), dtype=np.int64))


def encode_h264(
    frames: Iterable[av.VideoFrame], *, group: int, quality: int, frames_per_second: int
) -> EncodedFrames:
    """Encode yuv420p frames of one size; the same frames give the same bytes.

    Args:
        group: frames from one key frame to the next; random access decodes (group + 1) / 2 of them.
        quality: x264's constant rate factor; smaller is better.
    """
    encoder: VideoCodecContext | None = None
    packets: list[av.Packet] = []
    for number, frame in enumerate(frames):
        if encoder is None:
            encoder = _encoder(frame, group, quality, frames_per_second)
        # A frame that comes out of a decoder would otherwise keep the type it had there.
        frame.pict_type = 0  # type: ignore[assignment]
        frame.pts, frame.time_base = number, Fraction(1, frames_per_second)
        packets += encoder.encode(frame)
    if encoder is not None:
        packets += encoder.encode(None)
    keys = [slot for slot, packet in enumerate(packets) if packet.is_keyframe]
    return EncodedFrames("h264", [bytes(p) for p in packets], np.array(keys, dtype=np.int64))


def _encoder(first: av.VideoFrame, group: int, quality: int, rate: int) -> VideoCodecContext:
    encoder = av.CodecContext.create("libx264", "w")
    assert isinstance(encoder, VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = first.width, first.height, "yuv420p"
    encoder.colorspace, encoder.color_range = first.colorspace, first.color_range
    encoder.framerate, encoder.time_base = Fraction(rate), Fraction(1, rate)
    encoder.thread_count = 1  # the same bytes on every machine; episodes run side by side
    encoder.max_b_frames = 0  # packets in order of time: slot n is packet n
    encoder.options = {
        "crf": str(quality),
        "preset": "veryfast",
        "x264-params": f"keyint={group}:min-keyint={group}:scenecut=0",
    }
    return encoder


class H264Decoder:
    """Decodes groups of packets without a container. One thread at a time."""

    def __init__(self) -> None:
        decoder = av.CodecContext.create("h264", "r")
        assert isinstance(decoder, VideoCodecContext)
        decoder.thread_count = 1
        decoder.flags |= Flags.low_delay
        self._decoder, self._reformatter = decoder, VideoReformatter()

    def decode(
        self,
        pieces: Sequence[bytes | memoryview],
        wanted: Sequence[int],
        into: np.ndarray | None = None,
    ) -> np.ndarray:
        """uint8[n, h, w, 3] of the `wanted` places (ascending) among pieces that begin at a key.

        Raises:
            DataError: the packets do not decode to one frame each, or not to those of `into`.
        """
        try:
            frames: list[av.VideoFrame] = []
            for piece in pieces:
                frames += self._decoder.decode(av.Packet(piece))  # type: ignore[arg-type]
            if len(frames) < len(pieces):
                frames += self._decoder.decode(None)
                self._decoder.flush_buffers()
        except (av.error.FFmpegError, ValueError) as error:
            self._decoder.flush_buffers()
            raise DataError(f"h264 packets cannot be decoded: {error}") from error
        if len(frames) != len(pieces):
            raise DataError(f"{len(pieces)} h264 packets decode to {len(frames)} frames")
        if into is None:
            first = frames[wanted[0]]
            into = np.empty((len(wanted), first.height, first.width, 3), dtype=np.uint8)
        for image, place in zip(into, wanted, strict=True):
            self._copy(frames[place], image)
        return into

    def _copy(self, frame: av.VideoFrame, image: np.ndarray) -> None:
        height, width = frame.height, frame.width
        if (height, width, 3) != image.shape:
            raise DataError(
                f"it has {height} x {width} pixels, not {image.shape[0]} x {image.shape[1]}"
            )
        plane = reformat(self._reformatter, frame, "rgb24").planes[0]
        rows = np.frombuffer(plane, np.uint8).reshape(height, plane.line_size)
        image[:] = rows[:, : 3 * width].reshape(height, width, 3)


_local = threading.local()


def decode_pieces(
    codec: str,
    pieces: Sequence[bytes | memoryview],
    wanted: Sequence[int],
    into: np.ndarray | None = None,
) -> np.ndarray:
    """Decode the `wanted` places (ascending) of pieces that begin at a key slot.

    Args:
        into: uint8[len(wanted), h, w, 3] to hold the images, each in one piece; None: a new array.

    Returns:
        uint8[len(wanted), h, w, 3]. Any thread may call; each keeps a decoder of its own.

    Raises:
        DataError: the pieces are damaged, of an unknown codec, or not of the size of `into`.
    """
    if codec == "jpeg":
        try:
            if into is None:
                return np.stack([decode_jpeg(pieces[place]) for place in wanted])
            for image, place in zip(into, wanted, strict=True):
                decode_jpeg(pieces[place], image)
            return into
        except ValueError as error:
            raise DataError(f"a JPEG cannot be decoded: {error}") from error
    if codec == "h264":
        if not hasattr(_local, "decoder"):
            _local.decoder = H264Decoder()
        return _local.decoder.decode(pieces, wanted, into)
    raise DataError(f"unknown codec '{codec}'; valid: h264, jpeg")
