"""Take over the packets of a source video that is already what prepared episodes hold."""

from __future__ import annotations

import av
import av.error
import numpy as np
from av.bitstream import BitStreamFilterContext
from av.video.codeccontext import VideoCodecContext

from hearth.core.errors import DataError
from hearth.data.codecs import PIXEL_FORMATS, EncodedFrames
from hearth.data.lerobot.video import VideoSpan, frame_number, open_video, seek


def copy_packets(span: VideoSpan, *, image_size: int, group: int) -> EncodedFrames | None:
    """The span's packets with start codes, or None where they have to be encoded anew.

    Usable are h264 packets of `image_size` x `image_size` pixels in order of time, with at most
    `group` frames from one key frame to the next. They are decoded once, for the check.

    Raises:
        DataError: as `decode_span`.
    """
    if (span.height, span.width) != (image_size, image_size):
        return None
    try:
        with open_video(span) as (container, stream):
            context = stream.codec_context
            if context.codec.canonical_name != "h264" or context.pix_fmt != PIXEL_FORMATS["h264"]:
                return None
            seek(container, stream, span)
            to_start_codes = BitStreamFilterContext("h264_mp4toannexb", stream)
            pieces: list[bytes] = []
            keys: list[int] = []
            for packet in container.demux(stream):
                number = _slot(packet, stream, span)
                if number is None or number < 0:
                    continue
                if number != len(pieces) or packet.dts != packet.pts:
                    return None  # frames shown in another order than they are stored
                if packet.is_keyframe:
                    keys.append(number)
                elif not keys or number - keys[-1] >= group:
                    return None
                pieces += [bytes(filtered) for filtered in to_start_codes.filter(packet)]
                if len(pieces) != number + 1:
                    return None
                if not span.whole and len(pieces) == span.length:
                    break
    except (av.error.FFmpegError, OSError) as error:
        raise DataError(f"{span.path} cannot be read: {error}") from error
    if len(pieces) != span.length:
        raise DataError(f"{span.path} has {len(pieces)} frames; its table has {span.length} rows")
    _check(span, pieces)
    return EncodedFrames("h264", pieces, np.array(keys, dtype=np.int64))


def _slot(packet: av.Packet, stream: av.VideoStream, span: VideoSpan) -> int | None:
    """The episode's frame in a packet; None for the empty packet at the end of the file."""
    if packet.pts is None:
        return None
    return frame_number(packet.pts, stream, span) - span.first


def _check(span: VideoSpan, pieces: list[bytes]) -> None:
    """Every packet must decode: what is copied without a look would fail in the training."""
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, VideoCodecContext)
    decoder.thread_count = 1
    count = 0
    try:
        for piece in pieces:
            count += len(decoder.decode(av.Packet(piece)))
        count += len(decoder.decode(None))
    except av.error.FFmpegError as error:
        raise DataError(f"{span.path} cannot be decoded after frame {count}: {error}") from error
    if count != len(pieces):
        raise DataError(f"{span.path}: {len(pieces)} packets decode to {count} frames")
