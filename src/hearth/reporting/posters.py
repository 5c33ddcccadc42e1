"""Stills of videos, so that the page shows something before a video is loaded."""

from __future__ import annotations

from pathlib import Path

from hearth.core.errors import DataError
from hearth.core.files import atomic_path

_POSITION = 0.6  # share of the video: late enough for the robot to be at work


def write_poster(video: Path, path: Path) -> None:
    """Write one frame of `video` as a JPEG.

    Raises:
        DataError: the video cannot be decoded.
    """
    # Decoding libraries are loaded only where a video exists.
    import av
    from av.error import FFmpegError

    try:
        with av.open(str(video)) as container:
            stream = container.streams.video[0]
            wanted = int(_POSITION * (stream.duration or 0))
            # From the key frame before it: decoding from the start takes seconds on a long film.
            container.seek(wanted, stream=stream)
            shown = None
            for frame in container.decode(stream):
                shown = frame
                if frame.pts is not None and frame.pts >= wanted:
                    break
    except (FFmpegError, IndexError, OSError) as error:
        raise DataError(f"cannot show video {video}: {error}") from error
    if shown is None:
        raise DataError(f"cannot show video {video}: it has no frame")
    with atomic_path(path) as temporary:
        shown.to_image().save(temporary, format="JPEG", quality=85)
