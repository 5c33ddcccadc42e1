"""Images of prepared episodes: resize with padding, JPEG."""

from __future__ import annotations

import numpy as np
import simplejpeg
from PIL import Image


def resize_with_padding(image: np.ndarray, size: int) -> np.ndarray:
    """uint8[h, w, 3] -> uint8[size, size, 3]: the longer side fits, the rest is black, centred.

    An image that already has the size is returned as it is.
    """
    height, width = image.shape[:2]
    if height == width == size:
        return image
    scale = size / max(height, width)
    inner = max(1, round(width * scale)), max(1, round(height * scale))  # PIL: width first
    small = np.asarray(Image.fromarray(image).resize(inner, Image.Resampling.BILINEAR))
    padded = np.zeros((size, size, 3), dtype=np.uint8)
    top, left = (size - inner[1]) // 2, (size - inner[0]) // 2
    padded[top : top + inner[1], left : left + inner[0]] = small
    return padded


def encode_jpeg(image: np.ndarray, quality: int) -> bytes:
    """uint8[h, w, 3] RGB -> JPEG with full colour resolution."""
    return simplejpeg.encode_jpeg(
        np.ascontiguousarray(image), quality=quality, colorspace="RGB", colorsubsampling="444"
    )


def decode_jpeg(content: bytes | np.ndarray) -> np.ndarray:
    """JPEG -> uint8[h, w, 3] RGB. Releases the interpreter lock, so threads decode side by side."""
    return simplejpeg.decode_jpeg(content, colorspace="RGB")
