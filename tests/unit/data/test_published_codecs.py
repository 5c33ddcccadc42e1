"""Videos as the published sets have them: HEVC and AV1, frames out of order, rare key frames."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from av.video.stream import VideoStream

from hearth.data.lerobot.video import VideoSpan, decode_images
from hearth.data.packets import copy_packets

FRAMES, SIZE = 70, 64
# x265's own defaults (open groups of pictures, reordered frames), with more key frames in so few.
HEVC = {"x265-params": "log-level=none:keyint=24:min-keyint=12"}
AV1 = {"preset": "12", "svtav1-params": "keyint=24"}


def pictures() -> np.ndarray:
    """uint8[FRAMES, SIZE, SIZE, 3]: a bar that moves on by two columns every third frame, over

    a grey that tells the frames between apart.
    """
    images = np.zeros((FRAMES, SIZE, SIZE, 3), dtype=np.uint8)
    for number, image in enumerate(images):
        image[:] = 40 + 60 * (number % 3)
        image[:, 2 * (number // 3) : 2 * (number // 3) + 8] = 230
    return images


def write_video(path: Path, codec: str, options: dict[str, str]) -> None:
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream(codec, rate=30, options=options)
        assert isinstance(stream, VideoStream)
        stream.width = stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        for image in pictures():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


@pytest.mark.parametrize(("codec", "options"), [("libx265", HEVC), ("libsvtav1", AV1)])
def test_every_episode_of_a_shared_video_is_its_own(
    tmp_path: Path, codec: str, options: dict[str, str]
) -> None:
    path = tmp_path / "file-000.mp4"
    write_video(path, codec, options)
    images = pictures().astype(int)
    for first, length in ((0, 19), (19, 6), (25, 24), (49, 21)):
        span = VideoSpan(path, first, length, False, 30, SIZE, SIZE, codec)
        found = np.stack(list(decode_images(span)))
        own = images[first : first + length]
        assert np.abs(found - own).mean() < 6.0
        if length == 19:
            assert np.abs(found - images[1:20]).mean() > 20.0, "neighbours must be told apart"
        assert copy_packets(span, image_size=SIZE, group=250) is None, "only h264 is taken over"
    whole = VideoSpan(path, 0, FRAMES, True, 30, SIZE, SIZE, codec)
    assert len(list(decode_images(whole))) == FRAMES
