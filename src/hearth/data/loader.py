"""Training batches as a pure function of (seed, step): no position to save but the step."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hearth.benchmark import Benchmark
from hearth.core.actions import to_delta
from hearth.core.errors import DataError
from hearth.core.seeds import generator
from hearth.core.statistics import Statistics
from hearth.data.episodes import EpisodeTable, read_tables
from hearth.data.images import decode_jpeg
from hearth.data.statistics import check_file

Batch = dict[str, Any]
Blob = np.ndarray | h5py.Dataset
_PREFETCH = 4  # batches decoded ahead
_BLOB_MEMORY = 8 * 2**30  # bytes of prepared files up to which all JPEGs are read at the start


class Loader:
    """Batches drawn uniformly over all frames that have images, reshuffled every epoch.

    A batch holds `images` {camera: uint8[B,h,w,3]}, `state` float32[B,D] normalised, `actions`
    float32[B,H,D] normalised delta chunks (episode ends padded with the last action),
    `action_mask` bool[B,H] (False: padded), `task` int32[B], `stage` int32[B].

    Args:
        files: prepared files of the tasks to mix.
        statistics: of the same robot, covering the tasks.
        batch_size: samples per batch (B).
        seed: decides the order, with the epoch.
        start: the step at which iteration begins.
        held_out: draw from the episodes held out for validation instead of the others.
        threads: decoding threads.
        image_memory: keep decoded images in memory if all of them fit into this many bytes;
            0: decode every time.

    Raises:
        DataError: files of another benchmark or of unequal image sizes, or without samples.
        StatisticsError: statistics of another robot, other tasks or another horizon.
    """

    def __init__(
        self,
        files: Sequence[Path | str],
        statistics: Statistics,
        benchmark: Benchmark,
        horizon: int,
        batch_size: int,
        seed: int,
        start: int = 0,
        *,
        held_out: bool = False,
        threads: int = 2,
        image_memory: int = 0,
    ) -> None:
        self.statistics, self.benchmark = statistics, benchmark
        self.horizon, self.batch_size = horizon, batch_size
        self.seed, self.start, self.threads = seed, start, threads
        paths = [Path(file) for file in files]
        sizes = {check_file(path, benchmark) for path in paths}
        if len(sizes) != 1:
            raise DataError(f"prepared files need one image size, found {sorted(sizes)}")
        found = [(path, t) for path in paths for t in read_tables(path) if t.held_out == held_out]
        if not found:
            kind = "held-out" if held_out else "training"
            raise DataError(f"no {kind} episodes in {', '.join(map(str, paths))}")
        tables = [table for _, table in found]
        statistics.check(benchmark.robot.name, tuple({t.task for t in tables}), horizon)
        self._load_tables(tables)
        self._images = _open_images(found, benchmark, sizes.pop(), image_memory)
        self._orders: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        """The number of samples in an epoch."""
        return len(self._row)

    def _load_tables(self, tables: list[EpisodeTable]) -> None:
        """All rows of all episodes one after the other, and the row of every sample."""
        lengths = np.array([len(table.actions) for table in tables])
        starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
        self._actions = np.concatenate([table.actions for table in tables])
        self._state = np.concatenate([table.state for table in tables])
        self._stage = np.concatenate([table.stage for table in tables]).astype(np.int32)
        samples = [table.frame_index for table in tables]
        counts = [len(rows) for rows in samples]
        self._row = np.concatenate(
            [start + rows for start, rows in zip(starts, samples, strict=True)]
        )
        self._last = np.repeat(starts + lengths - 1, counts)
        self._task = np.repeat([table.task_index for table in tables], counts).astype(np.int32)

    def samples(self, step: int) -> np.ndarray:
        """int64[B]: which samples make up the batch of `step`; batches may span two epochs."""
        if step < 0:
            raise ValueError(f"step {step} is negative")
        position = step * self.batch_size + np.arange(self.batch_size, dtype=np.int64)
        epoch, within = np.divmod(position, len(self))
        chosen = np.empty(self.batch_size, dtype=np.int64)
        for number in np.unique(epoch):
            here = epoch == number
            chosen[here] = self._order(int(number))[within[here]]
        return chosen

    def _order(self, epoch: int) -> np.ndarray:
        order = self._orders.get(epoch)
        if order is None:
            order = generator(self.seed, "loader", epoch).permutation(len(self))
            # Neighbouring epochs are enough; a new dictionary needs no lock between threads.
            kept = {e: o for e, o in self._orders.items() if abs(e - epoch) <= 1}
            self._orders = {**kept, epoch: order}
        return order

    def batch(self, step: int) -> Batch:
        """The batch of a step; the same for the same files, seed and step, in any order of calls.

        Raises:
            DataError: an image cannot be decoded.
        """
        chosen = self.samples(step)
        row, last = self._row[chosen], self._last[chosen]
        ahead = row[:, None] + np.arange(self.horizon)
        state = self._state[row]
        chunk = self._actions[np.minimum(ahead, last[:, None])]
        delta = to_delta(chunk, state, self.benchmark.robot.delta_mask)
        return {
            "images": {camera: images.take(chosen) for camera, images in self._images.items()},
            "state": self.statistics.normalise_state(state),
            "actions": self.statistics.normalise_actions(delta),
            "action_mask": ahead <= last[:, None],
            "task": self._task[chosen],
            "stage": self._stage[row],
        }

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches of `start`, `start + 1`... without end, decoded ahead in threads."""
        pool = ThreadPoolExecutor(self.threads, thread_name_prefix="loader")
        waiting: deque[Future[Batch]] = deque()
        step = self.start
        try:
            while True:
                while len(waiting) < _PREFETCH:
                    waiting.append(pool.submit(self.batch, step))
                    step += 1
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


class _Images:
    """The JPEGs of one camera over all samples, and their decoded copies if they fit in memory.

    Args:
        blobs: per episode where it lies, its JPEGs (an array, or an HDF5 dataset that is read as
            needed) and their offsets int64[K+1].
    """

    def __init__(
        self, camera: str, blobs: list[tuple[str, Blob, np.ndarray]], size: int, memory: int
    ) -> None:
        self._camera, self._size, self._blobs = camera, size, blobs
        self._first = np.cumsum([0, *(len(offsets) - 1 for _, _, offsets in blobs)])
        samples = int(self._first[-1])
        kept = samples if samples * size * size * 3 <= memory else 0
        # Pages of an untouched zero array take no memory: it fills as training reads images.
        self._decoded = np.zeros((kept, size, size, 3), dtype=np.uint8)
        self._known = np.zeros(kept, dtype=bool)

    def take(self, samples: np.ndarray) -> np.ndarray:
        """uint8[B, h, w, 3] of the samples, by their global numbers."""
        if len(self._known):
            for sample in samples[~self._known[samples]]:
                # Two threads may decode the same image: both write the same bytes.
                self._decoded[sample] = self._decode(int(sample))
                self._known[sample] = True
            return self._decoded[samples]
        images = np.empty((len(samples), self._size, self._size, 3), dtype=np.uint8)
        for slot, sample in enumerate(samples):
            images[slot] = self._decode(int(sample))
        return images

    def _decode(self, sample: int) -> np.ndarray:
        episode = int(np.searchsorted(self._first, sample, side="right")) - 1
        where, content, offsets = self._blobs[episode]
        within = sample - int(self._first[episode])
        try:
            return decode_jpeg(content[offsets[within] : offsets[within + 1]])
        except (ValueError, OSError) as error:
            raise DataError(
                f"{where}: image {within} of camera '{self._camera}' cannot be decoded ({error}); "
                "delete the file and prepare the task again"
            ) from error


def _open_images(
    episodes: list[tuple[Path, EpisodeTable]], benchmark: Benchmark, size: int, memory: int
) -> dict[str, _Images]:
    """Images per camera; the JPEGs are read into memory where all files together are small."""
    paths = sorted({path for path, _ in episodes})
    in_memory = sum(path.stat().st_size for path in paths) <= _BLOB_MEMORY
    blobs: dict[str, list[tuple[str, Blob, np.ndarray]]] = {c: [] for c in benchmark.cameras}
    files = {path: h5py.File(path, "r", locking=False) for path in paths}
    for path, table in episodes:
        for camera, entries in blobs.items():
            name = f"{table.index}/frames/{camera}"
            if name not in files[path]:
                raise DataError(f"{path}: episode {table.index} has no camera '{camera}'")
            content: Any = files[path][f"{name}/bytes"]
            offsets: Any = files[path][f"{name}/offsets"]
            blob = content[()] if in_memory else content
            entries.append((f"{path}, episode {table.index}", blob, offsets[()]))
    if in_memory:
        for file in files.values():
            file.close()
    share = memory // len(blobs)
    return {camera: _Images(camera, entries, size, share) for camera, entries in blobs.items()}
