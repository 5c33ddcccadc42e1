"""Where every number and image of the prepared files lies, in bytes.

With it a batch is read by plain `pread`s: no HDF5 call, no lock of the HDF5 library between
threads, and nothing held in memory but some 200 bytes an episode. Looking into an HDF5 file takes
about a millisecond an episode, so each file's index is kept beside it, in `.<file>.index.npy`:
`hearth prepare` writes it, and whoever finds it missing or outdated makes it anew.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import h5py
import numpy as np

from hearth.benchmark import Benchmark
from hearth.core.errors import DataError, HearthError, choices
from hearth.core.files import write_bytes
from hearth.data.codecs import Codec
from hearth.data.episodes import open_file

CODECS = get_args(Codec)
_FORMAT = 1  # raise it when an index of the same file changes
_TABLES = {"actions": "<f4", "state": "<f4", "stage": "<i4", "frame_index": "<i8"}
# Images of one camera of an episode: positions of blob, offsets and key slots (0: none are kept).
_FRAMES = np.dtype(
    [("codec", "u1"), ("content", "<i8"), ("size", "<i8"), ("offsets", "<i8"),
     ("key_slots", "<i8"), ("keys", "<i8")]
)  # fmt: skip


def _record(cameras: int) -> np.dtype:
    """One episode: what it is, its lengths in rows and images, the positions of its arrays."""
    positions = [(name, "<i8") for name in _TABLES]
    return np.dtype(
        [("file", "<i4"), ("episode", "<i8"), ("task", "<i4"), ("held_out", "?"),
         ("rows", "<i8"), ("images", "<i8"), *positions, ("frames", _FRAMES, (cameras,))]
    )  # fmt: skip


@dataclass(frozen=True)
class IndexedFile:
    """A prepared file as it was when it was indexed."""

    path: Path
    size: int
    changed_ns: int
    image_size: int


@dataclass(frozen=True)
class Index:
    """The episodes to draw from, ordered by task.

    Attributes:
        files: the prepared files.
        cameras: their order in `episodes["frames"]`.
        image_size: pixels of a side, the same in all files.
        episodes: one record each (see `_record`), a task's beside each other.
        first: int64[E+1], the first sample of every episode; a sample is a table row with images.
    """

    files: tuple[IndexedFile, ...]
    cameras: tuple[str, ...]
    image_size: int
    episodes: np.ndarray
    first: np.ndarray

    def __len__(self) -> int:
        """The number of samples."""
        return int(self.first[-1])

    def locate(self, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Samples int64[n] -> (place in `episodes`, slot among the episode's images), int64[n]."""
        places = np.searchsorted(self.first, samples, side="right") - 1
        return places, samples - self.first[places]

    def task_sizes(self) -> dict[int, int]:
        """Task index -> its number of samples, in the order in which samples are numbered."""
        tasks, starts = np.unique(self.episodes["task"], return_index=True)
        borders = self.first[[*starts, len(self.episodes)]]
        return dict(zip(tasks.tolist(), np.diff(borders).tolist(), strict=True))

    def where(self, place: int) -> str:
        """Which episode of which file, for messages."""
        record = self.episodes[place]
        return f"{self.files[record['file']].path}, episode {record['episode']}"


def make_index(paths: Sequence[Path], benchmark: Benchmark, *, held_out: bool) -> Index:
    """The index of the training episodes, or of those held out for validation.

    Raises:
        DataError: a file is missing, damaged, or of another benchmark or robot; image sizes are
            unequal; a camera is missing; or there is no such episode.
    """
    files, records = [], []
    for number, path in enumerate(paths):
        file, episodes = index_file(path, benchmark)
        episodes["file"] = number
        files.append(file)
        records.append(episodes)
    sizes = {file.image_size for file in files}
    if len(sizes) > 1:
        raise DataError(f"prepared files need one image size, found {sorted(sizes)}")
    kind = "held-out" if held_out else "training"
    chosen = np.concatenate(records) if records else np.empty(0, _record(0))
    chosen = chosen[(chosen["held_out"] == held_out) & (chosen["images"] > 0)]
    if not len(chosen):
        raise DataError(f"no {kind} episodes in {', '.join(map(str, paths)) or 'no files'}")
    chosen = chosen[np.lexsort((chosen["episode"], chosen["file"], chosen["task"]))]
    first = np.concatenate([[0], np.cumsum(chosen["images"])]).astype(np.int64)
    return Index(tuple(files), tuple(benchmark.cameras), sizes.pop(), chosen, first)


def index_file(path: Path, benchmark: Benchmark) -> tuple[IndexedFile, np.ndarray]:
    """The kept index of a file if it belongs to the file's present content, or a new one.

    A new one is kept where the folder may be written.

    Raises:
        DataError: the file is missing, damaged, or of another benchmark or robot.
    """
    with open_file(path) as file:
        # The status before the content: a change in between makes the index stale, not wrong.
        status = path.stat()
        found = str(file.attrs["benchmark"]), str(file.attrs["robot"])
        if found != (benchmark.name, benchmark.robot.name):
            raise DataError(
                f"{path} was prepared for benchmark '{found[0]}' and robot '{found[1]}', not "
                f"'{benchmark.name}' and '{benchmark.robot.name}'"
            )
        indexed = IndexedFile(
            path, status.st_size, status.st_mtime_ns, int(file.attrs["image_size"])  # type: ignore[arg-type]
        )  # fmt: skip
        cameras = tuple(benchmark.cameras)
        key = [_FORMAT, indexed.size, indexed.changed_ns, *cameras]
        kept = path.with_name(f".{path.name}.index.npy")
        episodes = _load(kept, key, len(cameras))
        if episodes is None:
            width = benchmark.robot.action_width
            rows = [_scan(file, path, name, cameras, width) for name in sorted(map(int, file))]
            episodes = np.array(rows, dtype=_record(len(cameras)))
            _save(kept, key, episodes)
    return indexed, episodes


def _scan(
    file: h5py.File, path: Path, episode: int, cameras: tuple[str, ...], width: int
) -> tuple[Any, ...]:
    """The record of one episode."""
    group: Any = file[str(episode)]
    where = f"{path}, episode {episode}"
    found = {name: _position(group, name, kind, where) for name, kind in _TABLES.items()}
    rows, images = found["actions"][1][0], found["frame_index"][1][0]
    for name, shape in (("actions", (rows, width)), ("state", (rows, width)), ("stage", (rows,))):
        if found[name][1] != shape:
            raise DataError(f"{where}: {name} has shape {found[name][1]}; needed is {shape}")
    positions = [found[name][0] for name in _TABLES]
    frames = [_scan_frames(group, camera, images, where) for camera in cameras]
    task, held_out = group.attrs["task_index"], group.attrs["held_out"]
    return (0, episode, task, held_out, rows, images, *positions, frames)


def _scan_frames(group: Any, camera: str, images: int, where: str) -> tuple[int, ...]:
    name = f"frames/{camera}"
    if name not in group:
        raise DataError(
            f"{where} has no camera '{camera}': {choices(camera, group.get('frames', ()))}"
        )
    frames = group[name]
    codec = str(frames.attrs.get("codec", "jpeg"))
    if codec not in CODECS:
        raise DataError(f"{where}, camera '{camera}': codec '{codec}': {choices(codec, CODECS)}")
    content, (size,) = _position(frames, "bytes", "u1", where)
    offsets, (count,) = _position(frames, "offsets", "<i8", where)
    if count != images + 1:
        raise DataError(f"{where}: camera '{camera}' has {count - 1} images; needed are {images}")
    keys, number = 0, 0
    if codec != "jpeg":
        keys, (number,) = _position(frames, "key_slots", "<i8", where)
    return CODECS.index(codec), content, size, offsets, keys, number


def _position(group: Any, name: str, kind: str, where: str) -> tuple[int, tuple[int, ...]]:
    """Byte position and shape of a dataset. The low-level call: it is four times as fast."""
    dataset = h5py.h5d.open(group.id, name.encode())
    position = dataset.get_offset()
    if position is None or dataset.dtype != np.dtype(kind):
        raise DataError(
            f"{where}: {name} ({dataset.dtype}, shape {dataset.shape}) is not stored in one piece "
            f"of type {np.dtype(kind)}; delete the file and prepare the task again"
        )
    return position, dataset.shape


def _load(path: Path, key: list[Any], cameras: int) -> np.ndarray | None:
    """A kept index, or None: it is missing, unreadable, or of another content of the file."""
    try:
        with path.open("rb") as file:
            if np.load(file, allow_pickle=False).tolist() != list(map(str, key)):
                return None
            episodes = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return episodes if episodes.dtype == _record(cameras) else None


def _save(path: Path, key: list[Any], episodes: np.ndarray) -> None:
    content = io.BytesIO()
    np.save(content, np.array(list(map(str, key))))
    np.save(content, episodes)
    # A folder that may only be read is no reason not to train: the next start looks again.
    with contextlib.suppress(HearthError):
        write_bytes(path, content.getvalue())
