"""Malformed traffic for a policy server, at every level from bytes to observations.

Part of `serving_soak.py`; the test suite sends a short form of the same.
"""

from __future__ import annotations

import contextlib
import random
import socket
import struct
from collections import Counter
from collections.abc import Callable, Iterator

import msgpack

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: fuzz\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_TEXT, _BINARY = 1, 2
_CLOSING = 8
_ANSWER_SECONDS = 600.0  # as long as evaluators wait
_OTHER_ARRAYS = tuple(
    {b"__ndarray__": True, b"data": data, b"dtype": dtype, b"shape": shape}
    for dtype, shape, data in (
        ("<f4", [2], b"\x00\x00\xc0\x7f\x00\x00\x80\x7f"), ("<f8", [], bytes(8)), ("<f4", [0], b""),
        ("|u1", [4, 4, 3], bytes(48)), ("|u1", [64, 64, 2], bytes(8192)), ("|b1", [1], b"\x07"),
        ("<i8", [1], b"\xff" * 8), ("<i8", [1], b"\xff" * 7 + b"\x7f"), ("<i8", [2], bytes(16)),
        ("<U1", [1], b"x\x00\x00\x00"), ("|S2", [1], b"ab"), ("|u1", [1] * 8, b"\x01"),
        ("|u1", [0, 64, 3], b""), ("<f4", [64, 64, 3], bytes(49152)),
        ("|u1", [1, 2000, 3], bytes(6000)),
    )
)  # fmt: skip
_NO_TEXT = b"a text frame was sent"  # how the server refuses one
_RESET = b"\x81\xa5reset\xc3"
_VALUES = (
    None, True, -1, 2**63, 1e308, "", "text", b"bytes", [], {}, [[]], {"reset": 1}, "\udcff",
)  # fmt: skip


def websocket_frame(payload: bytes, head: int = 0x80 | _BINARY, length: int | None = None) -> bytes:
    """One masked frame, as clients send; `length` lies about the payload's where it is given."""
    size = len(payload) if length is None else length
    if size < 126:
        header = bytes([head, 0x80 | size])
    elif size < 2**16:
        header = struct.pack("!BBH", head, 0x80 | 126, size)
    else:
        header = struct.pack("!BBQ", head, 0x80 | 127, size)
    return header + bytes(4) + payload  # a mask of zeros leaves the payload as it is


_GOODBYE = websocket_frame(b"goodbye", 0x80 | _TEXT)
_CLOSE = websocket_frame(b"\x03\xe8", 0x80 | _CLOSING)


_SCALARS = tuple(
    {b"__npgeneric__": True, b"data": data, b"dtype": dtype}
    for dtype, data in (
        ("|S1", 2**31), ("<U1", 2**31), ("|u1", 300), ("<f4", [[0.0] * 50] * 50), ("<f4", "text"),
        ("|S1", b"ab"), ("<i8", 2**63), ("|O", 1), ("|b1", None), ("<f4", {b"data": 1}),
    )
)  # fmt: skip


def _array(source: random.Random) -> dict[bytes, object]:
    """An array or scalar map of which at least one part is wrong."""
    if source.random() < 0.2:
        return dict(source.choice(_SCALARS))
    array: dict[bytes, object] = {
        b"__ndarray__": True, b"data": bytes(8), b"dtype": "<f4", b"shape": [2]
    }  # fmt: skip
    wrong = {
        b"dtype": ["|O", "<c8", "|V8", "<f4,<f4", "(2,)<f4", "<U2", "nonsense", 4, None, "<m8[s]"],
        b"shape": [[3], [-1], [2.0], "2", None, [2**62, 4], [1] * 40, [[2]], [True, 2], [0, 2**63]],
        b"data": ["text", None, 8, [0], b"", b"seven B"],
    }
    part = source.choice(list(wrong))
    array[part] = source.choice(wrong[part])
    if source.random() < 0.2:
        del array[part]
    return array


def _packed(value: object) -> bytes:
    return msgpack.packb(value, unicode_errors="surrogatepass")  # type: ignore[return-value]


class MalformedFrames:
    """An endless supply of malformed input, the same for the same seed.

    Every kind is a function that returns the bytes to send after the handshake, or instead of it
    (`before_handshake`); some inputs are cut off in the middle of a frame that was in order.
    """

    def __init__(self, valid: bytes, keys: list[str], seed: int) -> None:
        """
        Args:
            valid: a packed observation, which is damaged in many ways.
            keys: the names in an observation.
            seed: of the choices.
        """
        self._valid, self._keys, self._random = valid, keys, random.Random(seed)
        self._observation: dict[str, object] = msgpack.unpackb(valid, strict_map_key=False)
        self._kinds: list[Callable[[], bytes]] = [
            self.random_bytes, self.damaged, self.truncated, self.wrong_value, self.wrong_arrays,
            self.wrong_observation, self.hostile_lengths, self.deep, self.text, self.protocol,
        ]  # fmt: skip
        self._opening = HANDSHAKE, HANDSHAKE + websocket_frame(_RESET)
        # Names, types and lengths stand at both ends; other pixels are no malformed input.
        size = len(valid)
        self._ends = [*range(min(120, size)), *range(max(size - 100, 0), size)]

    def next(self) -> tuple[str, bytes]:
        """The name of a kind, and what to send; every other input comes within an episode."""
        if self._random.random() < 0.05:
            return "before_handshake", self.before_handshake()
        kind = self._random.choice(self._kinds)
        opening = self._random.choice(self._opening)
        if self._random.random() < 0.02:
            data = websocket_frame(self._valid)
            return "cut_off", opening + data[: self._random.randrange(len(data))]
        return kind.__name__, opening + kind()

    def before_handshake(self) -> bytes:
        """Bytes that are no websocket handshake."""
        damaged = bytearray(HANDSHAKE)
        damaged[self._random.randrange(len(damaged))] = self._random.randrange(256)
        endless = b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n"
        other = b"POST /metrics HTTP/1.1\r\n\r\n"
        return self._random.choice([bytes(damaged), self._bytes(80) + b"\r\n\r\n", endless, other])

    def random_bytes(self) -> bytes:
        return websocket_frame(self._bytes(120))

    def damaged(self) -> bytes:
        frame = bytearray(self._valid)
        for _ in range(self._random.randint(1, 6)):
            frame[self._random.choice(self._ends)] = self._random.randrange(256)
        return websocket_frame(bytes(frame))

    def truncated(self) -> bytes:
        return websocket_frame(self._valid[: self._random.randrange(len(self._valid))])

    def wrong_value(self) -> bytes:
        return websocket_frame(_packed(self._random.choice(_VALUES)))

    def wrong_arrays(self) -> bytes:
        some = {key: _array(self._random) for key in self._keys}
        return websocket_frame(
            _packed(self._random.choice([some, [some] * 70, _array(self._random)]))
        )

    def wrong_observation(self) -> bytes:
        """An observation of which some entries are something else, or are not there."""
        value = dict(self._observation)
        for key in self._random.sample(self._keys, self._random.randint(1, len(self._keys))):
            value[key] = self._random.choice(self._random.choice([_VALUES, _OTHER_ARRAYS]))
            if self._random.random() < 0.2:
                del value[key]
        if self._random.random() < 0.3:
            value["__action_chunk_size__"] = self._random.choice(_VALUES)
        return websocket_frame(_packed(value))

    def hostile_lengths(self) -> bytes:
        """Headers that promise far more than follows: arrays, maps, texts, extensions."""
        promise = struct.pack("!I", self._random.choice([2**16, 2**24, 2**31, 2**32 - 1]))
        kind = self._random.choice([b"\xdd", b"\xdf", b"\xdb", b"\xc6", b"\xc9"])
        return websocket_frame((kind + promise) * self._random.randint(1, 50) + self._bytes(40))

    def deep(self) -> bytes:
        return websocket_frame(self._random.choice([b"\x91", b"\x81\xa1a"]) * 2000)

    def text(self) -> bytes:
        return websocket_frame(self._bytes(30), 0x80 | _TEXT)

    def protocol(self) -> bytes:
        """Frames that break the websocket protocol itself."""
        payload = self._bytes(20)
        return self._random.choice([
            websocket_frame(payload, 0xF2),  # reserved bits
            websocket_frame(payload, 0x80),  # continues nothing
            websocket_frame(payload, 0x83),  # unknown kind
            websocket_frame(payload, 0x02) * 2,  # a second beginning
            websocket_frame(bytes(200), 0x89),  # a ping that is too long
            websocket_frame(b"\x00\x01", 0x88),  # an invalid closing code
            websocket_frame(b"", length=2**40), websocket_frame(b"", length=2**63),
            bytes([0x82, 5]) + b"plain",  # not masked
        ])  # fmt: skip

    def _bytes(self, most: int) -> bytes:
        return self._random.randbytes(self._random.randint(0, most))


def send_malformed(port: int, frames: MalformedFrames, count: int) -> Counter[tuple[str, str]]:
    """Send so many, a connection each; returns how often each kind came to which end.

    The server must have read an input before the client leaves, or nothing was tried: every input
    is followed by a text frame, which no policy server takes, and the client waits to be refused
    for the one or the other. Its ends:

        refused: a text frame named the error.
        taken: it still was an observation or a reset; the refusal is of the text frame after it.
        closed: the server closed without a word, as for what breaks the websocket protocol.
        left: the client was gone first, in the middle of a frame.

    Raises:
        TimeoutError: the server neither answered nor closed.
        ConnectionRefusedError: the server is gone.
    """
    ends: Counter[tuple[str, str]] = Counter()
    for _ in range(count):
        kind, data = frames.next()
        ends[kind, _exchange(port, kind, data)] += 1
    return ends


def _exchange(port: int, kind: str, data: bytes) -> str:
    """Send one input over a connection of its own; returns its end, see `send_malformed`."""
    with socket.create_connection(("127.0.0.1", port), _ANSWER_SECONDS) as connection:
        if kind == "cut_off":
            linger = struct.pack("ii", 1, 0)  # closing resets the connection
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            connection.sendall(data)
            connection.recv(1)  # it is open
            return "left"
        end, greeted = "closed", kind == "before_handshake"
        # A server that closes at once resets what still comes.
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            connection.sendall(data)
            if kind == "before_handshake":
                connection.shutdown(socket.SHUT_WR)
            for opcode, text in _answers(connection):
                # The server reads no more than two frames ahead, so the last one waits its turn.
                if not greeted:
                    connection.sendall(_GOODBYE)
                    greeted = True
                if opcode == _TEXT:
                    end = "taken" if _NO_TEXT in text and kind != "text" else "refused"
                if opcode == _CLOSING and kind != "before_handshake":
                    connection.sendall(_CLOSE)
        return end


def _answers(connection: socket.socket) -> Iterator[tuple[int, bytes]]:
    """Kind and content of the frames after the handshake, until the connection ends."""
    received, at = b"", None
    while chunk := connection.recv(2**16):
        received += chunk
        if at is None:
            end = received.find(b"\r\n\r\n")
            at = None if end < 0 or not received.startswith(b"HTTP/1.1 101 ") else end + 4
        while at is not None and len(received) >= at + 2:
            size, header = received[at + 1], 2
            assert size < 127, "a policy server's answers are short"
            if size == 126:
                size, header = int.from_bytes(received[at + 2 : at + 4], "big"), 4
            end = at + header + size
            if len(received) < end:
                break
            yield received[at] & 0x0F, received[at + header : end]
            at = end
