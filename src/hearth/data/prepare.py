"""From a LeRobot data set to one HDF5 file of verified episodes per task.

Every episode is first written to a part of its own, so that work interrupted at any moment goes on
where it stopped; the parts are then joined in one atomic step, and the marker is written last.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hearth.benchmark import experiment_benchmark
from hearth.core.errors import DataError
from hearth.core.files import hash_json, read_json, write_json
from hearth.core.lifetime import end_pool_worker_with_parent
from hearth.core.locks import alone
from hearth.core.progress import progress
from hearth.core.results import Results
from hearth.core.seeds import generator
from hearth.core.settings import Settings
from hearth.data import episodes
from hearth.data.estimate import check_disk, estimate
from hearth.data.index import index_file
from hearth.data.preparation import Preparation
from hearth.data.quarantine import BadEpisode, check_quarantine, describe, write_quarantine
from hearth.data.room import dataset_folder, estimate_experiment

# What one process needs to decode and encode, roughly, and the work that repays the two seconds in
# which another one starts.
_SECONDS_PER_FRAME, _SECONDS_PER_PIXEL = 1e-4, 7e-9
_SECONDS_PER_WORKER = 6.0


def prepare_task(settings: Settings, task: str, workers: int = 1) -> dict[str, Any]:
    """Prepare all episodes of `task`; finished work is kept, also after a kill or a cut-off file.

    While another process prepares the same task this one waits, and then finds it done.

    Args:
        workers: processes side by side at most; 1 works in this process, and so does a task that
            is too small to repay their start.

    Returns:
        The marker: task, codec, episodes, frames, images, held_out, quarantine, bytes, hash,
        fingerprint.

    Raises:
        DataError: no such task in the data set, more bad episodes than `data.allowed_bad_fraction`,
            or too little disk.
    """
    results = Results.of(settings)
    benchmark = experiment_benchmark(settings)
    root = dataset_folder(settings)
    codec = estimate_experiment(settings, benchmark).codec
    work = Preparation(root, benchmark, settings.data, task, codec)
    due = work.dataset.episodes(task)
    fingerprints = {episode: work.fingerprint(episode) for episode in due}
    target, marker_path = results.episodes(task), results.prepared(task)
    parts = target.parent / f".{task}.parts"
    fingerprint = hash_json(
        [fingerprints, settings.seed, settings.data.validation_fraction,
         settings.data.allowed_bad_fraction]
    )  # fmt: skip
    with alone(results.lock("prepare", task), f"preparing {task}"):
        parts.mkdir(parents=True, exist_ok=True)
        marker = _finished(marker_path, target, fingerprint)
        if marker is None:
            marker_path.unlink(missing_ok=True)
            sources, bad = _prepare_episodes(work, fingerprints, parts, target, workers)
            write_quarantine(results.quarantine(task), task, len(due), bad)
            check_quarantine(
                results.quarantine(task), task, len(due), bad, settings.data.allowed_bad_fraction
            )
            marker = _join(settings, work, sources, target) | {
                "quarantine": [asdict(item) for item in bad],
                "fingerprint": fingerprint,
            }
            write_json(marker_path, marker)
        shutil.rmtree(parts)
    if marker["quarantine"]:
        bad = [BadEpisode(**item) for item in marker["quarantine"]]
        print(describe(task, len(due), bad), file=sys.stderr)
    return marker


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
    work: Preparation, fingerprints: dict[int, str], parts: Path, target: Path, workers: int
) -> tuple[dict[int, Path], list[BadEpisode]]:
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
    _check_room(work, todo, target)
    bad = []
    with progress(f"preparing {work.task}", len(fingerprints)) as advance:
        advance(len(sources))
        for episode, reason in _each(work, fingerprints, todo, _useful(work, todo, workers)):
            if reason is None:
                sources[episode] = todo[episode]
            else:
                bad.append(BadEpisode(episode, reason))
            advance(1, note=f"{len(bad)} bad" if bad else "")
    return sources, sorted(bad, key=lambda item: item.episode_index)


def _check_room(work: Preparation, todo: dict[int, Path], target: Path) -> None:
    frames = sum(work.dataset.length(episode) for episode in todo)
    data = work.data.model_copy(update={"codec": work.codec})
    size = estimate(data, frames, len(work.benchmark.cameras))
    if todo:
        print(size.describe(work.task), file=sys.stderr)
    check_disk(target.parent, size.bytes)


def _useful(work: Preparation, todo: dict[int, Path], workers: int) -> int:
    """How many processes repay their start."""
    seconds = 0.0
    for episode in todo:
        with contextlib.suppress(DataError):  # a bad episode says so when it is prepared
            for camera in work.benchmark.cameras:
                span = work.dataset.video(episode, camera)
                pixels = span.height * span.width
                seconds += span.length * (_SECONDS_PER_FRAME + pixels * _SECONDS_PER_PIXEL)
    return max(1, min(workers, len(todo), int(seconds / _SECONDS_PER_WORKER)))


def _remove_leftovers(parts: Path, target: Path) -> None:
    """Temporary files of a killed process; the lock is held, so nobody is writing them."""
    for leftover in [*parts.glob(".*.tmp"), *target.parent.glob(f".{target.name}.*.tmp")]:
        leftover.unlink(missing_ok=True)


def _each(
    work: Preparation, fingerprints: dict[int, str], todo: dict[int, Path], workers: int
) -> Iterator[tuple[int, str | None]]:
    """Prepare the episodes of `todo`; yield (episode, reason why it is bad or None)."""
    if workers <= 1:
        for episode, part in todo.items():
            yield episode, work.prepare(episode, part, fingerprints[episode])
        return
    # Spawned, not forked: the caller may hold threads (progress bar, arrow).
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        workers, mp_context=context, initializer=_start_worker, initargs=(work,)
    ) as pool:
        futures: dict[Future[str | None], int] = {
            pool.submit(_prepare_in_worker, episode, part, fingerprints[episode]): episode
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


_worker: Preparation | None = None


def _start_worker(work: Preparation) -> None:
    global _worker
    end_pool_worker_with_parent()
    _worker = work


def _prepare_in_worker(episode: int, part: Path, fingerprint: str) -> str | None:
    assert _worker is not None
    return _worker.prepare(episode, part, fingerprint)


def _join(
    settings: Settings, work: Preparation, sources: dict[int, Path], target: Path
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
    index_file(target, work.benchmark)  # training starts sooner by what this takes
    hashes: dict[str, str] = {}
    rows = images = 0
    with episodes.open_file(target) as file:
        for name in map(str, file):  # a task's tables together would be a gigabyte
            group: Any = file[name]
            hashes[name] = str(group.attrs["source_hash"])
            rows, images = rows + len(group["actions"]), images + len(group["frame_index"])
    return {
        "task": work.task,
        "codec": work.codec,
        "episodes": len(hashes),
        "held_out": sum(held_out.values()),
        "frames": rows,
        "images": images * len(work.benchmark.cameras),
        "bytes": target.stat().st_size,
        "hash": hash_json([work.settings_hash(), hashes, held_out]),
    }
