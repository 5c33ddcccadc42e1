"""Malformed traffic for a policy server, at every level from bytes to observations.

Part of `serving_soak.py`; the test suite sends a short form of the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import struct
from collections import Counter
from collections.abc import Callable

import msgpack

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: fuzz\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_TEXT, _BINARY = 1, 2
_ANSWER_SECONDS = 600.0  # as long as evaluators wait
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


def _array(source: random.Random) -> dict[bytes, object]:
    """An array map of which at least one part is wrong."""
    array: dict[bytes, object] = {
        b"__ndarray__": True, b"data": bytes(8), b"dtype": "<f4", b"shape": [2]
    }  # fmt: skip
    wrong = {
        b"dtype": ["|O", "<c8", "|V8", "<f4,<f4", "(2,)<f4", "<U2", "nonsense", 4, None, "<m8[s]"],
        b"shape": [[3], [-1], [2.0], "2", None, [2**62, 4], [1] * 40, [[2]], [True, 2], [0, 2**63]],
        b"data": ["text", None, 8, [0], b"", os.urandom(7)],
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
    (`before_handshake`).
    """

    def __init__(self, valid: bytes, keys: list[str], seed: int) -> None:
        """
        Args:
            valid: a packed observation, which is damaged in many ways.
            keys: the names in an observation.
            seed: of the choices.
        """
        self._valid, self._keys, self._random = valid, keys, random.Random(seed)
        self._kinds: list[Callable[[], bytes]] = [
            self.random_bytes, self.damaged, self.truncated, self.wrong_value, self.wrong_arrays,
            self.wrong_observation, self.hostile_lengths, self.deep, self.text, self.protocol,
        ]  # fmt: skip

    def next(self) -> tuple[str, bytes]:
        """The name of a kind, and what to send."""
        kind = self._random.choice(self._kinds)
        return kind.__name__, kind()

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
        # Names, types and lengths stand at both ends; other pixels are no malformed input.
        ends = [*range(min(120, len(frame))), *range(-min(100, len(frame)), 0)]
        for _ in range(self._random.randint(1, 6)):
            frame[self._random.choice(ends)] = self._random.randrange(256)
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
        value = {key: self._random.choice(_VALUES) for key in self._keys}
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


async def send_malformed(port: int, frames: MalformedFrames, count: int) -> Counter[str]:
    """Send so many, a connection each; returns how often the server ended it, by kind.

    Raises:
        TimeoutError: the server neither answered nor closed.
        ConnectionRefusedError: the server is gone.
    """
    ended: Counter[str] = Counter()
    for number in range(count):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                if number % 20 == 0:
                    kind, data = "before_handshake", frames.before_handshake()
                else:
                    kind, data = frames.next()
                    data = HANDSHAKE + data
                # The client says goodbye at once, so that input the server accepts ends as well.
                writer.write(data + websocket_frame(b"\x03\xe8", 0x88))
                if kind == "before_handshake":
                    writer.write_eof()
                with contextlib.suppress(ConnectionError):
                    while await reader.read(2**16):
                        pass
            ended[kind] += 1
        finally:
            writer.close()
    return ended
