"""How large prepared episodes become: which codec, and whether the disk has room."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from hearth.core.data_sections import DataSettings
from hearth.core.errors import DataError
from hearth.data.codecs import Codec

# Bytes of a 224 x 224 frame, the mean over three cameras of the rendered household.
_PIXELS = 224 * 224
_JPEG_BYTES = 10_100.0  # quality 90
_KEY_BYTES = 3500.0  # an h264 key frame at quality 20
_DELTA_BYTES = 770.0  # an h264 frame between key frames
_TABLE_BYTES = 300  # actions, state, stage, time and offsets of one row


@dataclass(frozen=True)
class Estimate:
    """Bytes of prepared episodes by codec, and the codec that the settings choose."""

    frames: int
    by_codec: dict[Codec, int]
    codec: Codec

    @property
    def bytes(self) -> int:
        return self.by_codec[self.codec]

    def describe(self, what: str) -> str:
        sizes = ", ".join(f"{name} {as_text(size)}" for name, size in self.by_codec.items())
        return f"{what}: {self.frames} frames a camera, about {sizes}; codec {self.codec}"


def estimate(data: DataSettings, frames: int, cameras: int) -> Estimate:
    """The size of `frames` table rows with the images of `cameras` cameras.

    ``codec: auto`` takes JPEG, which decodes several times faster, as long as all of it stays
    within `data.jpeg_limit_gigabytes`, and h264 beyond.
    """
    images = cameras * -(-frames // data.keep_every)
    scale = data.image_size**2 / _PIXELS
    jpeg = _JPEG_BYTES * scale
    packet = (_KEY_BYTES + (data.group_of_pictures - 1) * _DELTA_BYTES) / data.group_of_pictures
    sizes: dict[Codec, int] = {
        "jpeg": int(frames * _TABLE_BYTES + images * jpeg),
        "h264": int(frames * _TABLE_BYTES + images * packet * scale),
    }
    if data.codec != "auto":
        return Estimate(frames, sizes, data.codec)
    small = sizes["jpeg"] <= data.jpeg_limit_gigabytes * 1e9
    return Estimate(frames, sizes, "jpeg" if small else "h264")


def check_disk(folder: Path, size: int, twice: int | None = None) -> None:
    """Check that `size` bytes of episodes can be written below `folder`.

    Args:
        twice: how much of it lies there twice at a time, since the parts of a task are written
            before they are joined; None: all of it.

    Raises:
        DataError: there is less room; the message names what is needed and what is free.
    """
    copied = size if twice is None else twice
    needed, free = size + copied, shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(
            f"{folder} has {as_text(free)} free; preparing needs about {as_text(needed)} "
            f"(episodes of {as_text(size)}, and {as_text(copied)} more while they are joined)"
        )


def as_text(size: float) -> str:
    """Bytes for people: 1.5 GB."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
