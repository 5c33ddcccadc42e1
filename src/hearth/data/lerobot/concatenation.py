"""Join mp4s into one without decoding them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import av.error

from hearth.core.errors import DataError
from hearth.core.files import atomic_path
from hearth.data.lerobot.video import VideoSpan, open_video


def concatenate_videos(path: Path, spans: Sequence[VideoSpan]) -> None:
    """Write the packets of whole videos one after another, atomically.

    Raises:
        DataError: a video is missing, damaged, of another length than its span, or was encoded
            with other parameters than the first.
    """
    with atomic_path(path) as temporary, av.open(str(temporary), "w", format="mp4") as output:
        target: Any = None
        header: bytes | None = None
        first = 0
        for span in spans:
            try:
                with open_video(span) as (container, stream):
                    if target is None:
                        target = output.add_stream_from_template(stream)
                        header = stream.codec_context.extradata
                    if stream.codec_context.extradata != header:
                        raise DataError(
                            f"{span.path} was encoded with other parameters than {spans[0].path}: "
                            "they cannot be joined"
                        )
                    _append(output, target, container, stream, span, first)
            except (av.error.FFmpegError, OSError) as error:
                raise DataError(f"{span.path} cannot be read: {error}") from error
            first += span.length


def _append(
    output: Any, target: Any, container: Any, stream: Any, span: VideoSpan, first: int
) -> None:
    step = 1 / (stream.time_base * span.frames_per_second)
    shift = round(first * step) - round(stream.start_time or 0)
    count = 0
    for packet in container.demux(stream):
        if packet.dts is None or packet.pts is None:
            continue  # the empty packet at the end of the file
        packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
        packet.stream = target
        output.mux(packet)
        count += 1
    if count != span.length:
        raise DataError(f"{span.path} has {count} frames; its table has {span.length} rows")
