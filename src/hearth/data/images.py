"""Images of prepared episodes as JPEG."""

from __future__ import annotations

import numpy as np
import simplejpeg


def encode_jpeg(image: np.ndarray, quality: int) -> bytes:
    """uint8[h, w, 3] RGB -> JPEG with full colour resolution."""
    return simplejpeg.encode_jpeg(
        np.ascontiguousarray(image), quality=quality, colorspace="RGB", colorsubsampling="444"
    )


def decode_jpeg(content: bytes | np.ndarray) -> np.ndarray:
    """JPEG -> uint8[h, w, 3] RGB. Releases the interpreter lock, so threads decode side by side."""
    return simplejpeg.decode_jpeg(content, colorspace="RGB")
