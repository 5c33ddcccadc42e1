"""The file of prepared episodes, `episodes/<task>.h5`: one HDF5 group per episode.

Group `<episode_index>` of T table rows, K of them with images:
    actions float32[T,D], state float32[T,D], stage int32[T], timestamp float64[T],
    frame_index int64[K], and per camera frames/<camera>/bytes uint8[N] (all pieces in one blob),
    frames/<camera>/offsets int64[K+1], its attribute `codec` ("jpeg" or "h264"; absent: "jpeg"),
    and for h264 frames/<camera>/key_slots int64[G], the slots that decode by themselves.
One blob with offsets reads a third faster than HDF5's variable-length arrays.
Images are read with `hearth.data.frames`.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hearth.core.errors import DataError
from hearth.core.files import atomic_path
from hearth.data.codecs import EncodedFrames


@dataclass(frozen=True)
class Episode:
    """One prepared episode; `frames` maps each camera to the images of the rows `frame_index`."""

    actions: np.ndarray
    state: np.ndarray
    stage: np.ndarray
    timestamp: np.ndarray
    frame_index: np.ndarray
    frames: Mapping[str, EncodedFrames]


@dataclass(frozen=True)
class EpisodeTable:
    """The numbers of one prepared episode, without its images (shapes as in the file)."""

    index: int
    task: str
    task_index: int
    held_out: bool
    actions: np.ndarray
    state: np.ndarray
    stage: np.ndarray
    frame_index: np.ndarray


@contextlib.contextmanager
def open_file(path: Path) -> Iterator[h5py.File]:
    """Open for reading.

    Raises:
        DataError: the file is missing, truncated or no HDF5; also where an error shows only later.
    """
    if not path.is_file():
        raise DataError(f"{path} does not exist; prepare the task first")
    try:
        # Lustre and NFS often refuse HDF5's own lock, and finished files are never changed.
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except (OSError, KeyError) as error:
        raise DataError(
            f"{path} cannot be read ({error}); delete it and prepare the task again"
        ) from error


class _Output(io.FileIO):
    """A file that HDF5 writes into, which keeps a failure until HDF5 is done.

    On a full disk the HDF5 library fails again while it closes the file, and takes the whole
    process down with a segmentation fault.
    """

    failure: OSError | None = None

    def write(self, data: Any, /) -> int:
        rest = memoryview(data).cast("B")
        size = len(rest)
        try:
            while len(rest) and self.failure is None:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.failure = error
        return size

    def truncate(self, size: int | None = None, /) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self.failure = self.failure or error
            return size or 0


@contextlib.contextmanager
def _create_file(path: Path) -> Iterator[h5py.File]:
    """Create a file atomically.

    Raises:
        HearthError: it cannot be written, e.g. the disk is full; `path` is left as it was.
    """
    with atomic_path(path) as temporary, _Output(temporary, "r+") as output:
        try:
            with h5py.File(output, "w") as file:
                yield file
        except Exception:
            if output.failure is None:
                raise
        if output.failure is not None:
            raise output.failure


def write_part(path: Path, episode: Episode, attributes: Mapping[str, Any]) -> None:
    """Write one episode atomically to a file of its own, in the group `episode`."""
    with _create_file(path) as file:
        group = file.create_group("episode")
        for name in ("actions", "state", "stage", "timestamp", "frame_index"):
            group.create_dataset(name, data=getattr(episode, name))
        for camera, encoded in episode.frames.items():
            frames = group.create_group(f"frames/{camera}")
            content = b"".join(encoded.pieces)
            frames.create_dataset("bytes", data=np.frombuffer(content, dtype=np.uint8))
            sizes = np.array([0, *map(len, encoded.pieces)], dtype=np.int64)
            frames.create_dataset("offsets", data=np.cumsum(sizes))
            frames.attrs["codec"] = encoded.codec
            if encoded.codec != "jpeg":
                frames.create_dataset("key_slots", data=encoded.key_slots)
        group.attrs.update(attributes)


def part_is_current(path: Path, fingerprint: str) -> bool:
    """Whether a part is complete and was made from the same sources and settings."""
    try:
        with h5py.File(path, "r", locking=False) as file:
            return file["episode"].attrs.get("fingerprint") == fingerprint
    except (OSError, KeyError):
        return False


def finished_groups(path: Path) -> dict[int, str]:
    """Episode index -> fingerprint of all groups of a prepared file; empty if it is unreadable."""
    try:
        with h5py.File(path, "r", locking=False) as file:
            names = [str(name) for name in file]
            return {int(name): str(file[name].attrs["fingerprint"]) for name in names}
    except (OSError, KeyError):
        return {}


def concatenate(
    path: Path,
    sources: Mapping[int, Path],
    held_out: Mapping[int, bool],
    attributes: Mapping[str, Any],
) -> None:
    """Join episodes into one file, atomically, ordered by index.

    Args:
        sources: episode index -> its part, or `path` itself to carry a group over from the
            file that is replaced.
        held_out: episode index -> whether it is kept for validation.
    """
    with contextlib.ExitStack() as stack:
        previous = None
        if path in sources.values():
            previous = stack.enter_context(h5py.File(path, "r", locking=False))
        target = stack.enter_context(_create_file(path))
        target.attrs.update(attributes)
        for index in sorted(sources):
            if sources[index] == path and previous is not None:
                previous.copy(str(index), target, name=str(index))
            else:
                with h5py.File(sources[index], "r", locking=False) as part:
                    part.copy("episode", target, name=str(index))
            target[str(index)].attrs["held_out"] = held_out[index]


def read_tables(path: Path) -> list[EpisodeTable]:
    """The tables of all episodes of a file, ordered by index.

    Raises:
        DataError: missing, truncated or incomplete.
    """
    return list(iterate_tables(path))


def iterate_tables(path: Path) -> Iterator[EpisodeTable]:
    """The tables of a file one after another, ordered by index, so that one is in memory at a time.

    Raises:
        DataError: missing, truncated or incomplete.
    """
    with open_file(path) as file:
        for index in sorted(map(int, file.keys())):
            yield _read_table(file, index)


def _read_table(file: h5py.File, index: int) -> EpisodeTable:
    group: Any = file[str(index)]
    arrays = {name: group[name][()] for name in ("actions", "state", "stage", "frame_index")}
    return EpisodeTable(
        index=index,
        task=str(group.attrs["task"]),
        task_index=int(group.attrs["task_index"]),
        held_out=bool(group.attrs["held_out"]),
        **arrays,
    )
