"""Resizing camera images as the public policies do, fast enough for a policy that acts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
from PIL import Image

_SMALL = 128 * 128  # pixels of all images; below it threads cost more than they save


def resize_with_padding(image: np.ndarray, size: int) -> np.ndarray:
    """uint8[h, w, 3 or 4] -> uint8[size, size, 3]: the longer side fits, black bars around it.

    Pillow's bilinear filter over the first three channels, bit for bit; a fourth is dropped. An
    image of three channels that already has the size is returned as it is.
    """
    height, width, channels = image.shape
    if (height, width) == (size, size):
        return image if channels == 3 else _pixels(_picture(image))
    longest = max(height, width)
    rows, columns = max(1, height * size // longest), max(1, width * size // longest)
    small = _pixels(_picture(image).resize((columns, rows), Image.Resampling.BILINEAR))
    if rows == columns == size:
        return small
    padded = np.zeros((size, size, 3), dtype=np.uint8)
    top, left = (size - rows) // 2, (size - columns) // 2
    padded[top : top + rows, left : left + columns] = small
    return padded


def resize_images(images: Mapping[str, np.ndarray], size: int) -> dict[str, np.ndarray]:
    """`resize_with_padding` of several images, side by side on several cores where that pays."""
    pending = [image for image in images.values() if image.shape[:2] != (size, size)]
    if sum(image.shape[0] * image.shape[1] for image in pending) <= _SMALL or _cores() == 1:
        return {name: resize_with_padding(image, size) for name, image in images.items()}
    # The largest first: it decides how long all of them take.
    names = sorted(images, key=lambda name: -images[name].size)
    futures = {name: _threads().submit(resize_with_padding, images[name], size) for name in names}
    return {name: futures[name].result() for name in images}


def _picture(image: np.ndarray) -> Image.Image:
    """A Pillow view of uint8[h, w, 3 or 4]; four channels are not copied."""
    height, width, channels = image.shape
    pixels = np.ascontiguousarray(image)
    if channels == 3:
        return Image.fromarray(pixels)
    # RGBX: the fourth channel is filtered but weights nothing, unlike that of RGBA.
    return Image.frombuffer("RGBX", (width, height), pixels, "raw", "RGBX", 0, 1)


def _pixels(picture: Image.Image) -> np.ndarray:
    """uint8[h, w, 3]: Pillow packs three of four channels ten times as fast as a NumPy slice."""
    content = picture.tobytes("raw", "RGB")
    return np.frombuffer(content, np.uint8).reshape(picture.height, picture.width, 3)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def _threads() -> ThreadPoolExecutor:
    """Pillow releases the interpreter lock while it filters."""
    return ThreadPoolExecutor(min(8, _cores()), thread_name_prefix="resize")
