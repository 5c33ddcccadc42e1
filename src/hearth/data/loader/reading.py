"""Reading samples by the byte positions of an index."""

from __future__ import annotations

import os
import threading

import numpy as np

from hearth.core.errors import DataError
from hearth.data.frames import Blob, decode_slots
from hearth.data.index import CODECS, Index, IndexedFile

_AGAIN = "delete the file and prepare the task again"


class OpenFile:
    """Reads of a file that must still be the one that was indexed; opened at the first of them.

    Threads may share it; a copy in another process opens the file anew.
    """

    def __init__(self, file: IndexedFile) -> None:
        self._file, self._descriptor = file, -1
        self._lock = threading.Lock()

    def __getstate__(self) -> IndexedFile:
        return self._file

    def __setstate__(self, file: IndexedFile) -> None:
        self.__init__(file)

    def read(self, position: int, size: int) -> bytes:
        """`size` bytes from `position` on.

        Raises:
            DataError: the file was replaced, changed or cut off since it was indexed, or cannot be
                read.
        """
        try:
            content = os.pread(self._opened(), size, position)
        except OSError as error:
            raise DataError(f"{self._file.path} cannot be read ({error})") from error
        if len(content) != size:
            raise DataError(
                f"{self._file.path} ends early: {len(content)} of {size} bytes at {position} "
                f"could be read; {_AGAIN}"
            )
        return content

    def _opened(self) -> int:
        if self._descriptor < 0:
            with self._lock:
                if self._descriptor < 0:
                    self._descriptor = self._open()
        return self._descriptor

    def _open(self) -> int:
        descriptor = os.open(self._file.path, os.O_RDONLY)
        status = os.fstat(descriptor)
        if (status.st_size, status.st_mtime_ns) != (self._file.size, self._file.changed_ns):
            os.close(descriptor)
            raise DataError(
                f"{self._file.path} changed since it was indexed ({self._file.size} bytes then, "
                f"{status.st_size} now); start again, with a new run if the episodes are others"
            )
        return descriptor

    def __del__(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)


class SampleReader:
    """The numbers and images of samples, read as they are asked for.

    Args:
        index: where they lie.
        horizon: actions of a chunk (H).
        width: numbers of an action and of a state (D).
    """

    def __init__(self, index: Index, horizon: int, width: int) -> None:
        self.index, self.horizon, self.width = index, horizon, width
        self._files = [OpenFile(file) for file in index.files]

    def tables(self, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Absolute chunks float32[n,H,D], padded with the episode's last action; how many of each
        are not padding, int64[n]; states float32[n,D]; stages int32[n].

        Raises:
            DataError: a file changed or is damaged.
        """
        count, width = len(samples), self.width
        chunks = np.empty((count, self.horizon, width), dtype=np.float32)
        states = np.empty((count, width), dtype=np.float32)
        stages, inside = np.empty(count, dtype=np.int32), np.empty(count, dtype=np.int64)
        places, slots = self.index.locate(samples)
        records = self.index.episodes[places]
        for number, (record, slot) in enumerate(zip(records, slots.tolist(), strict=True)):
            file, rows = self._files[record["file"]], int(record["rows"])
            row = int.from_bytes(file.read(int(record["frame_index"]) + 8 * slot, 8), "little")
            if row >= rows:
                where = self.index.where(int(places[number]))
                raise DataError(f"{where}: image {slot} is of row {row} of {rows}; {_AGAIN}")
            length = min(self.horizon, rows - row)
            size = 4 * width
            content = file.read(int(record["actions"]) + size * row, size * length)
            chunks[number, :length] = np.frombuffer(content, "<f4").reshape(length, width)
            chunks[number, length:] = chunks[number, length - 1]
            inside[number] = length
            content = file.read(int(record["state"]) + size * row, size)
            states[number] = np.frombuffer(content, "<f4")
            content = file.read(int(record["stage"]) + 4 * row, 4)
            stages[number] = int.from_bytes(content, "little", signed=True)
        return chunks, inside, states, stages

    def images(
        self, camera: int, samples: np.ndarray, into: np.ndarray | None = None
    ) -> np.ndarray:
        """uint8[n, s, s, 3] of one camera.

        Args:
            camera: its place among the index's cameras.
            into: uint8[n, s, s, 3] to decode into; None: a new array.

        Raises:
            DataError: an image cannot be decoded, naming episode and image; or a file changed.
        """
        size = self.index.image_size
        images = np.empty((len(samples), size, size, 3), np.uint8) if into is None else into
        places, slots = self.index.locate(samples)
        for number, (place, slot) in enumerate(zip(places.tolist(), slots.tolist(), strict=True)):
            try:
                self._decode(place, camera, slot, images[number : number + 1])
            except (DataError, ValueError) as error:
                raise DataError(
                    f"{self.index.where(place)}: image {slot} of camera "
                    f"'{self.index.cameras[camera]}' cannot be decoded ({error}); {_AGAIN}"
                ) from error
        return images

    def _decode(self, place: int, camera: int, slot: int, into: np.ndarray) -> None:
        record = self.index.episodes[place]
        file, frames = self._files[record["file"]], record["frames"][camera]
        start = slot
        if frames["keys"]:
            content = file.read(int(frames["key_slots"]), 8 * int(frames["keys"]))
            keys = np.frombuffer(content, "<i8")
            start = int(keys[max(0, int(np.searchsorted(keys, slot, side="right")) - 1)])
        if not 0 <= start <= slot:
            raise DataError(f"its key frame is {start}")
        content, size = int(frames["content"]), int(frames["size"])
        count = int(record["images"])
        blob = Blob(CODECS[frames["codec"]], content, size, int(frames["offsets"]), count, None)
        decode_slots(file.read, blob, start, np.array([slot]), into)


class KeptImages:
    """The images of one camera, each decoded once and then kept in memory.

    Args:
        reader: decodes them.
        camera: its place among the index's cameras.
    """

    def __init__(self, reader: SampleReader, camera: int) -> None:
        self._reader, self._camera = reader, camera
        size = reader.index.image_size
        # Pages of an untouched zero array take no memory: it fills as training reads images.
        self._images = np.zeros((len(reader.index), size, size, 3), dtype=np.uint8)
        self._known = np.zeros(len(reader.index), dtype=bool)

    def take(self, samples: np.ndarray) -> np.ndarray:
        """uint8[n, s, s, 3]; threads may ask for the same image: both write the same bytes."""
        new = samples[~self._known[samples]]
        if len(new):
            self._images[new] = self._reader.images(self._camera, new)
            self._known[new] = True
        return self._images[samples]
