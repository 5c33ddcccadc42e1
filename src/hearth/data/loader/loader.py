"""Training batches as a pure function of (seed, step): no position to save but the step."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import grain
import numpy as np
from absl import flags
from grain.experimental import DatasetOptions, WithOptionsIterDataset

from hearth.benchmark import Benchmark
from hearth.core.actions import to_delta
from hearth.core.errors import DataError, SettingsError
from hearth.core.lifetime import end_pool_worker_with_parent
from hearth.core.sections import LoaderSettings
from hearth.core.statistics import Statistics
from hearth.data.index import make_index
from hearth.data.loader.order import SampleOrder
from hearth.data.loader.reading import KeptImages, SampleReader
from hearth.data.loader.shared import Borrower, Lender, Loan

Batch = dict[str, Any]
Tokenize = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
Allocate = Callable[[tuple[int, ...]], np.ndarray]
# Arrays but images go through a pipe up to this: memory of their own costs more than copying.
_SHARED_BYTES = 2**20


def _own_memory(shape: tuple[int, ...]) -> np.ndarray:
    return np.empty(shape, dtype=np.uint8)


class Loader:
    """Batches of the training episodes, reshuffled every epoch (see `SampleOrder`).

    A batch holds `images` {camera: uint8[B,h,w,3]}, `state` float32[B,D] normalised, `actions`
    float32[B,H,D] normalised delta chunks (episode ends padded with the last action),
    `action_mask` bool[B,H] (False: padded), `task` int32[B], `stage` int32[B].

    Sample number `step * batch_size + b` of a training is the same whatever the number of hosts,
    processes and threads, and wherever iteration started.

    Attributes:
        index: the episodes to draw from.
        reader: reads samples by the index.

    Args:
        files: prepared files of the tasks to mix.
        statistics: of the same robot, covering the tasks.
        batch_size: samples of a batch over all hosts.
        seed: decides the order, with the epoch.
        start: the step at which iteration begins.
        settings: shares of the tasks, processes, threads, memory.
        held_out: draw from the episodes held out for validation instead of the others.
        host, hosts: which slice of every batch this process reads, B = batch_size / hosts.
        tokenize: delta chunks [B,H,D] -> FAST tokens int32[B,L] and their mask bool[B,L], which
            batches then hold as `fast_tokens` and `fast_token_mask`. Pickled to processes.

    Raises:
        DataError: files of another benchmark or of unequal image sizes, or without samples.
        StatisticsError: statistics of another robot, other tasks or another horizon.
        SettingsError: the hosts do not divide the batch.
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
        settings: LoaderSettings | None = None,
        held_out: bool = False,
        host: int = 0,
        hosts: int = 1,
        tokenize: Tokenize | None = None,
    ) -> None:
        if batch_size % hosts or not 0 <= host < hosts:
            raise SettingsError(
                f"host {host} of {hosts} cannot read its slice of batch_size {batch_size}; valid "
                f"are multiples of {hosts} and hosts 0 to {hosts - 1}"
            )
        self.statistics, self.benchmark = statistics, benchmark
        self.horizon, self.batch_size, self.start = horizon, batch_size, start
        self.settings = settings or LoaderSettings()
        self.host, self.hosts, self.tokenize = host, hosts, tokenize
        self.index = make_index([Path(file) for file in files], benchmark, held_out=held_out)
        sizes = self.index.task_sizes()
        tasks = {task.index: task.name for task in benchmark.tasks}
        statistics.check(benchmark.robot.name, tuple(tasks[task] for task in sizes), horizon)
        self._order = SampleOrder(list(sizes.values()), seed, self.settings.task_temperature)
        self.reader = SampleReader(self.index, horizon, benchmark.robot.action_width)

    def __len__(self) -> int:
        """The number of samples."""
        return len(self.index)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_kept"}

    @cached_property
    def _kept(self) -> list[KeptImages]:
        """Memory for all images of each camera; empty if it is not to be used."""
        cameras, size = range(len(self.index.cameras)), self.index.image_size
        needed = len(self) * len(cameras) * size * size * 3
        if self.settings.workers or needed > self.settings.image_memory_bytes:
            return []
        return [KeptImages(self.reader, camera) for camera in cameras]

    def samples(self, step: int) -> np.ndarray:
        """int64[B]: the samples of this host in the batch of `step`, which may span two epochs."""
        if step < 0:
            raise ValueError(f"step {step} is negative")
        share = self.batch_size // self.hosts
        first = step * self.batch_size + self.host * share
        return self._order.samples(np.arange(first, first + share, dtype=np.int64))

    def batch(self, step: int, allocate: Allocate = _own_memory) -> Batch:
        """The batch of a step; the same for the same files, seed and step, in any order of calls.

        Args:
            allocate: memory for the images of a camera, uint8 of a shape.

        Raises:
            DataError: an image cannot be decoded, or a file changed.
        """
        samples = self.samples(step)
        chunk, inside, state, stage = self.reader.tables(samples)
        delta = to_delta(chunk, state, self.statistics.delta)
        places, _ = self.index.locate(samples)
        mask = np.arange(self.horizon) < inside[:, None]
        batch = {
            "images": self._images(samples, allocate),
            "state": self.statistics.normalise_state(state),
            "actions": self.statistics.normalise_actions(delta),
            "action_mask": mask if self.settings.mask_padding else np.ones_like(mask),
            "task": self.index.episodes["task"][places],
            "stage": stage,
        }
        if self.tokenize is not None:
            batch["fast_tokens"], batch["fast_token_mask"] = self.tokenize(delta)
        return batch

    def _images(self, samples: np.ndarray, allocate: Allocate) -> dict[str, np.ndarray]:
        """uint8[B, h, w, 3] of each camera, from memory where they all fit."""
        cameras, size = self.index.cameras, self.index.image_size
        if self._kept:
            kept = zip(cameras, self._kept, strict=True)
            return {name: images.take(samples) for name, images in kept}
        found = {name: allocate((len(samples), size, size, 3)) for name in cameras}
        for number, images in enumerate(found.values()):
            self.reader.images(number, samples, images)
        return found

    def __iter__(self) -> Generator[Batch]:
        """Yield the batches of `start`, `start + 1`... without end, read ahead as set.

        Raises:
            DataError: as `batch`; or a loading process ended.
        """
        own = 1 if self.settings.workers else 0
        batches = _Borrowed(iter(_pipeline(self, self.start + own)), Borrower())
        try:
            if own:
                # Processes take seconds to start: meanwhile the first batch is made here.
                with ThreadPoolExecutor(1) as thread:
                    second = thread.submit(_next, batches)
                    yield self.batch(self.start)
                    yield second.result()
            while True:
                yield _next(batches)
        finally:
            batches.source.close()


class _Steps:
    """The batches as grain's random-access source: element i is the batch of step start + i."""

    def __init__(self, loader: Loader, start: int) -> None:
        self._loader, self._start = loader, start

    def __len__(self) -> int:
        return sys.maxsize - self._start

    def __getitem__(self, index: int) -> Batch:
        if not self._loader.settings.workers or sys.platform != "linux":
            return self._loader.batch(self._start + index)
        try:
            # Images are decoded where the trainer reads them.
            batch = self._loader.batch(self._start + index, self._lender.allocate)
        except BaseException:
            self._lender.take_back()
            raise
        return {**batch, "images": dict(zip(batch["images"], self._lender.lend(), strict=True))}

    @cached_property
    def _lender(self) -> Lender:
        return Lender()


def _pipeline(loader: Loader, start: int) -> grain.IterDataset:
    """Threads of this process, or processes of which each makes every n-th batch in one thread."""
    settings = loader.settings
    # Grain reads its options from absl's flags, which complain unless somebody parsed them.
    flags.FLAGS.mark_as_parsed()
    threads = 0 if settings.workers else settings.threads
    ahead = 0 if settings.workers else max(threads, settings.batches_ahead)
    batches = grain.MapDataset.source(_Steps(loader, start)).to_iter_dataset(
        grain.ReadOptions(num_threads=threads, prefetch_buffer_size=ahead)
    )
    options = DatasetOptions(min_shm_size=_SHARED_BYTES)
    return WithOptionsIterDataset(batches, options).mp_prefetch(
        grain.MultiprocessingOptions(
            num_workers=settings.workers, per_worker_buffer_size=settings.batches_ahead
        ),
        worker_init_fn=_start_worker,
    )


def _start_worker(number: int, count: int) -> None:
    """In a loading process: end with the trainer, and leave its signals to it.

    The trainer still needs a batch or two to finish its step and write a checkpoint after Ctrl-C or
    a job's end, both of which reach all processes.
    """
    end_pool_worker_with_parent()
    os.environ["JAX_PLATFORMS"] = "cpu"  # grain imports jax, which must never take the accelerator
    for ignored in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)


@dataclass
class _Borrowed:
    """Batches of loading processes, and the memory that is shared with these."""

    source: grain.DatasetIterator
    borrower: Borrower


def _next(batches: _Borrowed) -> Batch:
    try:
        return _plain(next(batches.source), batches.borrower)
    except (RuntimeError, OSError) as error:
        raise DataError(
            f"a loading process ended ({error}): out of memory?; fewer loader.workers or a smaller "
            "loader.batches_ahead need less"
        ) from error


def _plain(value: Any, borrower: Borrower) -> Any:
    """Arrays in shared memory as plain arrays, which keep that memory as long as they live."""
    if isinstance(value, dict):
        return {name: _plain(item, borrower) for name, item in value.items()}
    return borrower.open(value) if isinstance(value, Loan) else np.asarray(value)
