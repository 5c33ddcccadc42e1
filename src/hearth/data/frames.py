"""Random access to the images of prepared episodes, whatever their codec.

The blobs of a prepared file are contiguous, so after one look at the file's structure every read is
a plain `pread`: no HDF5 call, no lock of the HDF5 library between threads, and nothing of the file
but the wanted bytes in memory.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hearth.core.errors import DataError, choices
from hearth.data.codecs import decode_pieces
from hearth.data.episodes import open_file


@dataclass(frozen=True)
class Blob:
    """Where the pieces of one camera of one episode lie in the file (bytes from its start)."""

    codec: str
    content: int
    size: int
    offsets: int
    slots: int
    key_slots: np.ndarray | None  # None: every slot is one


def decode_slots(
    read: Callable[[int, int], bytes],
    blob: Blob,
    start: int,
    wanted: np.ndarray,
    into: np.ndarray | None = None,
) -> np.ndarray:
    """Decode images of one group of pictures.

    Args:
        read: bytes of the file, by position and size.
        blob: where its pieces lie.
        start: a slot whose piece decodes by itself; for JPEG `wanted[0]`.
        wanted: int[n], the slots from `start` on, ascending.
        into: uint8[n, h, w, 3] to hold the images, each in one piece; None: a new array.

    Returns:
        uint8[n, h, w, 3].

    Raises:
        DataError: the offsets or the pieces are damaged, or not of the size of `into`.
    """
    count = int(wanted[-1]) - start + 1
    # Plain integers: NumPy's calls would cost more than decoding a small image.
    offsets = struct.unpack(f"<{count + 1}q", read(blob.offsets + 8 * start, 8 * (count + 1)))
    first, last = offsets[0], offsets[-1]
    if first < 0 or last > blob.size or any(low > high for low, high in pairwise(offsets)):
        raise DataError("its offsets are damaged")
    content = memoryview(read(blob.content + first, last - first))
    pieces = [content[low - first : high - first] for low, high in pairwise(offsets)]
    return decode_pieces(blob.codec, pieces, (wanted - start).tolist(), into)


class FrameReader:
    """The images of one prepared file. Threads may share it; a copy in another process reopens it.

    Raises:
        DataError: the file is missing or unreadable.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        with open_file(self.path) as file:
            self.image_size = int(file.attrs["image_size"])  # type: ignore[arg-type]
        self._blobs: dict[tuple[int, str], Blob] = {}
        self._file: int | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_file": None}

    def read_frames(self, episode: int, camera: str, slots: Sequence[int]) -> np.ndarray:
        """uint8[len(slots), size, size, 3] RGB.

        Args:
            episode: the episode's index.
            camera: named as in the benchmark.
            slots: places in the episode's `frame_index`, in any order, also repeated; with
                ``keep_every: 1`` they are the rows of its table.

        Raises:
            DataError: no such episode, camera or slot, or the images are damaged.
        """
        blob = self._blob(episode, camera)
        places = np.asarray(slots, dtype=np.int64)
        if places.size and (places.min() < 0 or places.max() >= blob.slots):
            raise DataError(
                f"{self.path}, episode {episode}, camera '{camera}': slots {places.min()} to "
                f"{places.max()}; valid are 0 to {blob.slots - 1}"
            )
        images = np.empty((len(places), self.image_size, self.image_size, 3), dtype=np.uint8)
        wanted, back = np.unique(places, return_inverse=True)
        starts = wanted
        if blob.key_slots is not None:
            starts = blob.key_slots[np.searchsorted(blob.key_slots, wanted, side="right") - 1]
        borders = [0, *(np.flatnonzero(np.diff(starts)) + 1).tolist(), len(wanted)]
        for first, last in pairwise(borders) if len(wanted) else ():
            try:
                group = decode_slots(self._read, blob, int(starts[first]), wanted[first:last])
                for place, image in enumerate(group, start=first):
                    images[back == place] = image
            except (DataError, ValueError, OSError) as error:
                raise DataError(
                    f"{self.path}, episode {episode}: image {wanted[first]} of camera '{camera}' "
                    f"cannot be decoded ({error}); delete the file and prepare the task again"
                ) from error
        return images

    def _read(self, position: int, size: int) -> bytes:
        if self._file is None:
            # Two threads may both open it; the loser's handle is closed again.
            handle = os.open(self.path, os.O_RDONLY)
            if self._file is None:
                self._file = handle
            else:
                os.close(handle)
        content = os.pread(self._file, size, position)
        if len(content) != size:
            raise DataError(f"{len(content)} of {size} bytes could be read")
        return content

    def _blob(self, episode: int, camera: str) -> Blob:
        found = self._blobs.get((episode, camera))
        if found is None:
            with open_file(self.path) as file:
                found = _locate(file, self.path, episode, camera)
            self._blobs[episode, camera] = found
        return found

    def close(self) -> None:
        """Let go of the file; a later read opens it again."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def __del__(self) -> None:
        if getattr(self, "_file", None) is not None:
            self.close()


def _locate(file: h5py.File, path: Path, episode: int, camera: str) -> Blob:
    group: Any = file.get(str(episode))
    if group is None:
        raise DataError(f"{path} has no episode {episode}: {choices(episode, file)}")
    frames = group["frames"]
    if camera not in frames:
        raise DataError(
            f"{path}: episode {episode} has no camera '{camera}': {choices(camera, frames)}"
        )
    content, offsets = frames[camera]["bytes"], frames[camera]["offsets"]
    where = content.id.get_offset(), offsets.id.get_offset()
    if None in where or offsets.dtype != np.dtype("<i8"):
        raise DataError(f"{path}: episode {episode}, camera '{camera}' is not stored in one piece")
    codec = str(frames[camera].attrs.get("codec", "jpeg"))
    keys = frames[camera]["key_slots"][()] if "key_slots" in frames[camera] else None
    return Blob(codec, where[0], content.size, where[1], len(offsets) - 1, keys)


def read_frames(path: Path | str, episode: int, camera: str, slots: Sequence[int]) -> np.ndarray:
    """`FrameReader.read_frames` once; keep a `FrameReader` for more."""
    reader = FrameReader(path)
    try:
        return reader.read_frames(episode, camera, slots)
    finally:
        reader.close()
