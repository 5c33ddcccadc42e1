"""The wire format: round trips, the official byte layout, and what is refused."""

from __future__ import annotations

import contextlib
import pickle

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hearth.core.errors import ServingError
from hearth.serving import wire

NUMBERS = st.one_of(
    hnp.boolean_dtypes(), hnp.integer_dtypes(), hnp.unsigned_integer_dtypes(),
    hnp.floating_dtypes(sizes=(16, 32, 64)),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(NUMBERS, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)))
def test_arrays_come_back_equal_and_writable(array):
    back = wire.unpack(wire.pack({"x": array}))["x"]
    assert back.dtype == array.dtype and back.shape == array.shape
    np.testing.assert_array_equal(back, array)
    assert back.flags.writeable


def test_arrays_have_the_official_layout():
    raw = msgpack.unpackb(wire.pack(np.array([[1.5, 2.0]], np.float32)), strict_map_key=False)
    data = np.array([[1.5, 2.0]], np.float32).tobytes()
    assert raw == {b"__ndarray__": True, b"data": data, b"dtype": "<f4", b"shape": [1, 2]}


def test_arrays_that_are_not_contiguous_are_sent_in_order():
    array = np.arange(12).reshape(3, 4).T[::2]
    np.testing.assert_array_equal(wire.unpack(wire.pack(array)), array)


def test_scalars_and_tensors_of_other_clients_are_read():
    assert wire.unpack(wire.pack({"a": np.float32(0.5), "b": np.int64(7)})) == {"a": 0.5, "b": 7}
    tensor = {b"__torch__": True, b"data": b"\0\0\x80?", b"dtype": "float32", b"shape": [1]}
    np.testing.assert_array_equal(wire.unpack(msgpack.packb(tensor)), np.array([1], np.float32))


@pytest.mark.parametrize(
    "array",
    [
        np.array([object()]),
        np.array([1j]),
        np.zeros(2, dtype=[("a", "<f4")]),
        np.array(["2026-01-01"], dtype="datetime64[D]"),
    ],
)
def test_object_void_and_complex_arrays_are_not_sent(array):
    with pytest.raises(ServingError, match="refused"):
        wire.pack({"x": array})


def test_other_types_are_not_sent():
    with pytest.raises(ServingError, match="type set"):
        wire.pack({"x": {1, 2}})


def array_map(**changes):
    base = {"__ndarray__": True, "data": bytes(8), "dtype": "<f4", "shape": [2]}
    return msgpack.packb({key.encode(): value for key, value in {**base, **changes}.items()})


@pytest.mark.parametrize(
    "change, message",
    [
        ({"dtype": "|O"}, "refused"),
        ({"dtype": "<c8"}, "refused"),
        ({"dtype": "|V4"}, "refused"),
        ({"dtype": "<f4,<f4"}, "refused"),
        ({"dtype": "(2,)<f4"}, "refused"),
        ({"dtype": "<U0"}, "refused"),
        ({"dtype": "nonsense"}, "unknown array type"),
        ({"dtype": 4}, "must be a name"),
        ({"shape": [3]}, "does not fill"),
        ({"shape": [-1]}, "whole numbers"),
        ({"shape": [2**62, 4]}, "does not fill"),
        ({"shape": [2.0]}, "whole numbers"),
        ({"shape": "2"}, "must be a list"),
        ({"shape": [1] * 40}, "at most 8"),
        ({"data": "text"}, "must be bytes"),
    ],
)
def test_malformed_arrays_are_named(change, message):
    with pytest.raises(ServingError, match=message):
        wire.unpack(array_map(**change))


@pytest.mark.parametrize(
    ("dtype", "item", "message"),
    [
        ("|S1", 2**31, "scalar of type .S1 holds a int"),
        ("<U1", 2**31, "holds a int"),
        ("<f4", [[0.0] * 50] * 50, "holds a list"),
        ("<f4", "text", "holds a str"),
        ("<f4", None, "holds a NoneType"),
        ("|u1", 300, "scalar of type uint8 cannot hold its value"),
        ("|O", 1, "are refused"),
    ],
)
def test_malformed_scalars_are_named_and_take_no_memory(dtype, item, message):
    scalar = {b"__npgeneric__": True, b"data": item, b"dtype": dtype}
    with pytest.raises(ServingError, match=message):
        wire.unpack(msgpack.packb({"x": scalar}))


def test_nothing_is_unpickled():
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("was unpickled",))

    data = pickle.dumps(Bomb())
    frame = array_map(data=data, dtype="|O", shape=[1])
    with pytest.raises(ServingError, match="refused"):
        wire.unpack(frame)
    assert wire.unpack(msgpack.packb({"x": data}))["x"] == data


def test_too_many_arrays_are_refused():
    with pytest.raises(ServingError, match="more than 64 arrays"):
        wire.unpack(wire.pack([np.zeros(1)] * 65))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_give_a_value_or_a_named_error(frame):
    with contextlib.suppress(ServingError):
        wire.unpack(frame)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_damaged_frame_gives_a_value_or_a_named_error(data):
    frame = bytearray(wire.pack({"x": np.arange(4.0), "n": np.int32(3), "reset": False}))
    for _ in range(data.draw(st.integers(1, 4))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ServingError):
        wire.unpack(bytes(frame[: data.draw(st.integers(0, len(frame)))]))
