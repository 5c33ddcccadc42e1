"""From a LeRobot data set to one HDF5 file of verified episodes per task.

Every episode is first written to a part of its own, so that work interrupted at any moment goes on
where it stopped; the parts are then joined in one atomic step, and the marker is written last.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import multiprocessing
import os
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hearth.benchmark import Benchmark, load_benchmark
from hearth.benchmark.benchmark import stage_label
from hearth.core.errors import DataError
from hearth.core.files import hash_file, hash_json, read_json, write_json
from hearth.core.lifetime import end_pool_worker_with_parent
from hearth.core.progress import progress
from hearth.core.results import Results
from hearth.core.sections import DataSettings
from hearth.core.seeds import generator
from hearth.core.settings import Settings
from hearth.data import episodes
from hearth.data.images import encode_jpeg
from hearth.data.lerobot.reader import Dataset
from hearth.data.resize import resize_with_padding
from hearth.data.verify import verify_table

_FORMAT = 1  # raise it when the content of prepared episodes changes
_SHOWN = 20  # quarantined episodes named in an error message


@dataclass(frozen=True)
class _Work:
    """What a worker needs to prepare any episode of one task; picklable."""

    root: Path
    benchmark: Benchmark
    data: DataSettings
    task: str

    @functools.cached_property
    def dataset(self) -> Dataset:
        return Dataset(self.root, self.benchmark)

    def sources(self, episode: int) -> list[Path]:
        cameras = self.benchmark.cameras
        videos = [self.dataset.video_path(episode, camera) for camera in cameras]
        return [self.dataset.table_path(episode), *videos]

    def settings_hash(self) -> str:
        """Over everything but the source files that decides the content of a prepared episode."""
        data = self.data.model_dump(include={"image_size", "jpeg_quality", "keep_every"})
        facts = self.benchmark.model_dump(include={"name", "frames_per_second", "robot", "cameras"})
        task = self.benchmark.task(self.task)
        return hash_json([_FORMAT, data, facts, task.index, task.name, task.stages])

    def fingerprint(self, episode: int) -> str:
        """Quick to take: settings, and size and time of change of every source file."""
        stats = [
            [path.name, path.stat().st_size, path.stat().st_mtime_ns] if path.is_file() else None
            for path in self.sources(episode)
        ]
        return hash_json([self.settings_hash(), episode, stats])


def prepare_task(settings: Settings, task: str, workers: int = 1) -> dict[str, Any]:
    """Prepare all episodes of `task`; finished work is kept, also after a kill or a cut-off file.

    Args:
        workers: processes side by side; 1 works in this process.

    Returns:
        The marker: task, episodes, frames, images, held_out, quarantine, bytes, hash, fingerprint.

    Raises:
        DataError: no such task in the data set, more bad episodes than `data.allowed_bad_fraction`,
            or another process prepares the same task.
    """
    results = Results.of(settings)
    benchmark = load_benchmark(settings.benchmark)
    root = Path(settings.data.dataset) if settings.data.dataset else results.dataset
    work = _Work(root, benchmark, settings.data, task)
    due = work.dataset.episodes(task)
    fingerprints = {episode: work.fingerprint(episode) for episode in due}
    target, marker_path = results.episodes(task), results.prepared(task)
    parts = target.parent / f".{task}.parts"
    fingerprint = hash_json(
        [fingerprints, settings.seed, settings.data.validation_fraction,
         settings.data.allowed_bad_fraction]
    )  # fmt: skip
    with _lock(parts):
        marker = _finished(marker_path, target, fingerprint)
        if marker is None:
            marker_path.unlink(missing_ok=True)
            sources, quarantine = _prepare_episodes(work, fingerprints, parts, target, workers)
            _check_quarantine(task, len(due), quarantine, settings.data.allowed_bad_fraction)
            marker = _join(settings, work, sources, target) | {
                "quarantine": quarantine,
                "fingerprint": fingerprint,
            }
            write_json(marker_path, marker)
        shutil.rmtree(parts)
    if marker["quarantine"]:
        print(_bad_episodes(task, len(due), marker["quarantine"]), file=sys.stderr)
    return marker


@contextlib.contextmanager
def _lock(parts: Path) -> Iterator[None]:
    """Hold the folder of parts; the kernel lets go when the process ends, however it ends."""
    parts.mkdir(parents=True, exist_ok=True)
    handle = os.open(parts, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise DataError(f"another process is preparing {parts.parent}: wait for it") from error
    finally:
        os.close(handle)


def _finished(marker_path: Path, target: Path, fingerprint: str) -> dict[str, Any] | None:
    """The marker, if it belongs to these sources and the file is whole; None: work to do."""
    if not (marker_path.is_file() and target.is_file()):
        return None
    try:
        marker = read_json(marker_path)
    except DataError:
        return None
    whole = target.stat().st_size == marker.get("bytes")
    return marker if whole and marker.get("fingerprint") == fingerprint else None


def _prepare_episodes(
    work: _Work, fingerprints: dict[int, str], parts: Path, target: Path, workers: int
) -> tuple[dict[int, Path], list[dict[str, Any]]]:
    """Where each good episode lies now, and the bad ones with their reasons."""
    _remove_leftovers(parts, target)
    earlier = episodes.finished_groups(target)
    sources: dict[int, Path] = {}
    todo: dict[int, Path] = {}
    for episode, fingerprint in fingerprints.items():
        part = parts / f"{episode:08d}.h5"
        if earlier.get(episode) == fingerprint:
            sources[episode] = target
        elif episodes.part_is_current(part, fingerprint):
            sources[episode] = part
        else:
            todo[episode] = part
    quarantine = []
    with progress(f"preparing {work.task}", len(fingerprints)) as advance:
        advance(len(sources))
        for episode, reason in _each(work, fingerprints, todo, workers):
            if reason is None:
                sources[episode] = todo[episode]
            else:
                quarantine.append({"episode_index": episode, "reason": reason})
            advance(1, note=f"{len(quarantine)} bad" if quarantine else "")
    return sources, sorted(quarantine, key=lambda bad: bad["episode_index"])


def _remove_leftovers(parts: Path, target: Path) -> None:
    """Temporary files of a killed process; the lock is held, so nobody is writing them."""
    for leftover in [*parts.glob(".*.tmp"), *target.parent.glob(f".{target.name}.*.tmp")]:
        leftover.unlink(missing_ok=True)


def _each(
    work: _Work, fingerprints: dict[int, str], todo: dict[int, Path], workers: int
) -> Iterator[tuple[int, str | None]]:
    """Prepare the episodes of `todo`; yield (episode, reason why it is bad or None)."""
    if workers <= 1 or len(todo) <= 1:
        for episode, part in todo.items():
            yield episode, _prepare_episode(work, episode, part, fingerprints[episode])
        return
    # Spawned, not forked: the caller may hold threads (progress bar, arrow).
    context = multiprocessing.get_context("spawn")
    count = min(workers, len(todo))
    with ProcessPoolExecutor(
        count, mp_context=context, initializer=end_pool_worker_with_parent
    ) as pool:
        futures: dict[Future[str | None], int] = {
            pool.submit(_prepare_episode, work, episode, part, fingerprints[episode]): episode
            for episode, part in todo.items()
        }
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BrokenProcessPool as error:
            raise DataError(
                f"a process preparing {work.task} died (out of memory?); run again to go on"
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _prepare_episode(work: _Work, episode: int, part: Path, fingerprint: str) -> str | None:
    """Write the part of one episode; returns why it is bad, or None."""
    try:
        table = work.dataset.read_table(episode)
        verify_table(table, work.benchmark.robot, work.benchmark.frames_per_second)
        jpegs = {camera: _encode(work, episode, camera) for camera in work.benchmark.cameras}
        sources = [hash_file(path) for path in work.sources(episode)]
    except DataError as error:
        return str(error)
    length = len(table.actions)
    task = work.benchmark.task(work.task)
    prepared = episodes.Episode(
        actions=table.actions,
        state=work.benchmark.robot.state_from_proprioception(table.proprioception),
        stage=stage_label(np.arange(length), length, task.stages),
        timestamp=table.timestamps,
        frame_index=np.arange(0, length, work.data.keep_every, dtype=np.int64),
        jpegs=jpegs,
    )
    attributes = {
        "task": task.name,
        "task_index": task.index,
        "source_hash": hash_json(sources),
        "fingerprint": fingerprint,
    }
    episodes.write_part(part, prepared, attributes)
    return None


def _encode(work: _Work, episode: int, camera: str) -> list[bytes]:
    size, quality = work.data.image_size, work.data.jpeg_quality
    frames = work.dataset.read_frames(episode, camera, work.data.keep_every)
    return [encode_jpeg(resize_with_padding(frame, size), quality) for frame in frames]


def _check_quarantine(
    task: str, total: int, quarantine: list[dict[str, Any]], allowed: float
) -> None:
    bad = len(quarantine)
    if bad > allowed * total or bad == total:
        limit = f"data.allowed_bad_fraction allows {int(allowed * total)}"
        raise DataError(f"{_bad_episodes(task, total, quarantine)}\n{limit}")


def _bad_episodes(task: str, total: int, quarantine: list[dict[str, Any]]) -> str:
    lines = [f"{task}: {len(quarantine)} of {total} episodes are bad:"]
    lines += [f"  {item['episode_index']:08d}: {item['reason']}" for item in quarantine[:_SHOWN]]
    if len(quarantine) > _SHOWN:
        lines.append(f"  and {len(quarantine) - _SHOWN} more")
    return "\n".join(lines)


def _join(
    settings: Settings, work: _Work, sources: dict[int, Path], target: Path
) -> dict[str, Any]:
    """Write the final file and return the marker's facts about it."""
    fraction = settings.data.validation_fraction
    held_out = {
        episode: bool(generator(settings.seed, "validation", episode).random() < fraction)
        for episode in sources
    }
    attributes = {
        "benchmark": work.benchmark.name,
        "robot": work.benchmark.robot.name,
        "image_size": work.data.image_size,
        "settings_hash": work.settings_hash(),
    }
    episodes.concatenate(target, sources, held_out, attributes)
    with episodes.open_file(target) as file:
        hashes = {name: str(file[name].attrs["source_hash"]) for name in map(str, file)}
    tables = episodes.read_tables(target)
    return {
        "task": work.task,
        "episodes": len(tables),
        "held_out": sum(held_out.values()),
        "frames": sum(len(table.actions) for table in tables),
        "images": sum(len(table.frame_index) for table in tables) * len(work.benchmark.cameras),
        "bytes": target.stat().st_size,
        "hash": hash_json([work.settings_hash(), hashes, held_out]),
    }
