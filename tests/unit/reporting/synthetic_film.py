"""Small films for the tests of reporting."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np


def write_film(path: Path, frames: int = 30, size: int = 64) -> None:
    """Film of 30 frames a second in the episodes' own codec, of `size` pixels, growing lighter."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width = stream.height = size
        stream.pix_fmt = "yuv420p"
        for index in range(frames):
            image = np.full((size, size, 3), 200 * index // frames, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
