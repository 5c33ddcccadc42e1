"""The wire format of the official BEHAVIOR evaluators: msgpack with arrays as maps.

An array is ``{b"__ndarray__": True, b"data": raw bytes, b"dtype": "<f4", b"shape": [..]}``, a NumPy
scalar ``{b"__npgeneric__": True, b"data": item, b"dtype": ..}``, and a tensor of a 2025 client
``{b"__torch__": True, b"data": .., b"dtype": "float32", b"shape": ..}``. Object, void and complex
types are refused in both directions, and nothing is ever unpickled.
"""

from __future__ import annotations

import math
from typing import Any

import msgpack
import numpy as np

from hearth.core.errors import ServingError

CHUNK_KEY = "__action_chunk_size__"  # in a request: how many actions it wants at once
# In a request of our own client: the answer to an observation that took a prediction says, below
# the second key, what it was. Nobody else sends the first, so nobody else gets the second.
RECORD_KEY, RECORD = "__prediction_record__", "prediction"
MAX_MESSAGE_BYTES = 64 * 2**20  # three 720-pixel cameras with depth are some 10 MB
MAX_ARRAYS = 64  # and scalars
MAX_DIMENSIONS = 8
MAX_LIST, MAX_MAP, MAX_TEXT = 4096, 1024, 2**16  # an observation has some ten keys
_REFUSED_KINDS = "OVcmM"
_NDARRAY, _GENERIC, _TORCH = b"__ndarray__", b"__npgeneric__", b"__torch__"


def pack(value: Any) -> bytes:
    """Encode maps, lists, numbers, strings, bytes and NumPy arrays as one binary frame.

    Raises:
        ServingError: a value of another type, or an array of object, void or complex type.
    """
    try:
        return msgpack.packb(value, default=_encode)  # type: ignore[return-value]
    except (TypeError, ValueError, OverflowError) as error:
        raise ServingError(f"cannot send this value: {error}") from error


def unpack(frame: bytes) -> Any:
    """Decode one binary frame.

    Raises:
        ServingError: the frame is too large, not msgpack, or holds an array that is refused.
    """
    if len(frame) > MAX_MESSAGE_BYTES:
        raise ServingError(f"frame of {len(frame)} bytes; at most {MAX_MESSAGE_BYTES} are read")
    decoder = _Decoder()
    try:
        return msgpack.unpackb(
            frame, object_hook=decoder.decode, strict_map_key=False, max_array_len=MAX_LIST,
            max_map_len=MAX_MAP, max_str_len=MAX_TEXT, max_ext_len=0,
        )  # fmt: skip
    except ServingError:
        raise
    except Exception as error:  # msgpack raises many kinds on malformed input
        detail = str(error) or type(error).__name__
        raise ServingError(f"frame is not valid msgpack: {detail}") from error


def _encode(value: Any) -> dict[bytes, Any]:
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in _REFUSED_KINDS:
        raise TypeError(f"arrays of type {value.dtype} are refused")
    if isinstance(value, np.ndarray):
        data = np.ascontiguousarray(value).tobytes()
        return {_NDARRAY: True, b"data": data, b"dtype": value.dtype.str, b"shape": value.shape}
    if isinstance(value, np.generic):
        return {_GENERIC: True, b"data": value.item(), b"dtype": value.dtype.str}
    raise TypeError(f"type {type(value).__name__} is not sent; use numbers, strings or arrays")


class _Decoder:
    """Decodes the array maps of one frame and counts them."""

    def __init__(self) -> None:
        self.arrays = 0

    def decode(self, value: dict[Any, Any]) -> Any:
        is_array = _NDARRAY in value or _TORCH in value
        if not is_array and _GENERIC not in value:
            return value
        self.arrays += 1
        if self.arrays > MAX_ARRAYS:
            raise ServingError(f"more than {MAX_ARRAYS} arrays and scalars in one frame")
        return _array(value) if is_array else _scalar(value)


def _dtype(value: dict[Any, Any]) -> np.dtype:
    name = value.get(b"dtype")
    if isinstance(name, bytes):
        name = name.decode("ascii", "replace")
    if not isinstance(name, str):
        raise ServingError(f"array type must be a name such as '<f4', got {name!r}")
    try:
        dtype = np.dtype(name)
    except (TypeError, ValueError, SyntaxError) as error:
        raise ServingError(f"unknown array type {name!r}; send e.g. '<f4', '|u1'") from error
    if dtype.kind in _REFUSED_KINDS or dtype.hasobject or dtype.itemsize == 0 or dtype.subdtype:
        raise ServingError(f"arrays of type {name!r} are refused; send numbers, e.g. '<f4', '|u1'")
    return dtype


def _scalar(value: dict[Any, Any]) -> np.generic:
    dtype, item = _dtype(value), value.get(b"data")
    # NumPy would make an array of a list, and as many bytes as a number says.
    valid = {"S": bytes, "U": str}.get(dtype.kind, bool | int | float)
    if not isinstance(item, valid):
        raise ServingError(f"scalar of type {dtype} holds a {type(item).__name__}")
    try:
        return dtype.type(item)
    except (OverflowError, ValueError) as error:
        raise ServingError(f"scalar of type {dtype} cannot hold its value: {error}") from error


def _array(value: dict[Any, Any]) -> np.ndarray:
    dtype, shape, data = _dtype(value), value.get(b"shape"), value.get(b"data")
    if not isinstance(shape, list) or len(shape) > MAX_DIMENSIONS:
        raise ServingError(f"array shape must be a list of at most {MAX_DIMENSIONS}: {shape!r}")
    if not all(type(size) is int and size >= 0 for size in shape):
        raise ServingError(f"array shape must hold whole numbers from 0: {shape!r}")
    if not isinstance(data, bytes):
        raise ServingError(f"array data must be bytes, got {type(data).__name__}")
    if math.prod(shape) * dtype.itemsize != len(data):
        raise ServingError(f"array of shape {shape} and type {dtype} does not fill {len(data)} B")
    # A copy: the buffer of a frame is read-only and policies may write into their input.
    return np.frombuffer(data, dtype=dtype).reshape(shape).copy()
