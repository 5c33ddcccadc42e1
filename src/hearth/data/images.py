"""Images of prepared episodes as JPEG."""

from __future__ import annotations

import numpy as np
import simplejpeg


def encode_jpeg(image: np.ndarray, quality: int) -> bytes:
    """uint8[h, w, 3] RGB -> JPEG with full colour resolution."""
    return simplejpeg.encode_jpeg(
        np.ascontiguousarray(image), quality=quality, colorspace="RGB", colorsubsampling="444"
    )


def decode_jpeg(
    content: bytes | memoryview | np.ndarray, into: np.ndarray | None = None
) -> np.ndarray:
    """JPEG -> uint8[h, w, 3] RGB. Releases the interpreter lock, so threads decode side by side.

    Args:
        content: the whole file.
        into: uint8[h, w, 3] in one piece, to hold the pixels; None: a new array.

    Raises:
        ValueError: not a JPEG, or of another size than `into`.
    """
    if into is None:
        return simplejpeg.decode_jpeg(content, colorspace="RGB")
    height, width = simplejpeg.decode_jpeg_header(content)[:2]
    if (height, width, 3) != into.shape:
        raise ValueError(f"it has {height} x {width} pixels, not {into.shape[0]} x {into.shape[1]}")
    return simplejpeg.decode_jpeg(content, colorspace="RGB", buffer=into)
