"""Send results and page to a bucket: what is sent, in which order, and what is there already."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from hearth.core.errors import UploadError
from hearth.core.progress import progress
from hearth.core.results import Results
from hearth.reporting.bucket import Bucket, Stored, digests_of

# Below an evaluation: what belongs to playing, not to its results.
_NOT_RESULTS = {("claims",), ("logs",), ("official", "running")}
_CONNECTIONS = 8


@dataclass
class Uploaded:
    """What an upload did, or would do.

    Attributes:
        sent: names below the bucket's prefix.
        bytes_sent: their size.
        unchanged: the number of files that the bucket had already.
    """

    sent: list[str] = field(default_factory=list)
    bytes_sent: int = 0
    unchanged: int = 0


def files_to_send(results: Results, submissions: Iterable[Path] = ()) -> list[dict[str, Path]]:
    """Name below the prefix -> file, in steps of which each begins when the one before is done.

    First what the page refers to, then what lies beside it, then the page alone: whoever opens it
    finds everything it shows, however often the upload was interrupted. Names are those of the
    experiment's folder, because the page's links are relative. Checkpoints, bundles and
    demonstrations stay here.

    Args:
        submissions: folders that `hearth submission` wrote.

    Raises:
        UploadError: there is no page yet, or a file or folder cannot be read.
    """
    page = results.leaderboard / "index.html"
    if not page.is_file():
        raise UploadError(
            f"no leaderboard at {results.leaderboard}: run the workflow, or `hearth report`, first"
        )
    shown = _named(results.root, _below(results.root / "evaluation", _is_result))
    for figures in (results.statistics_figures, results.tokenizer.parent / "figures"):
        if figures.is_dir():
            shown |= _named(results.root, _below(figures))
    for submission in submissions:
        files = _named(submission, _below(submission))
        shown |= {f"submission/{submission.name}/{name}": file for name, file in files.items()}
    beside = _named(results.root, _below(results.leaderboard))
    name = page.relative_to(results.root).as_posix()
    return [shown, beside, {name: beside.pop(name)}]


def upload(bucket: Bucket, steps: Sequence[Mapping[str, Path]], *, dry_run: bool) -> Uploaded:
    """Send the files whose content the bucket does not have; nothing in it is removed.

    The bucket alone says what is done, so an upload that was killed goes on where it was, also
    from another machine.

    Args:
        steps: as `files_to_send` gives them.
        dry_run: send nothing.

    Raises:
        UploadError: the bucket or a file cannot be used; what was sent stays.
    """
    stored = bucket.listing()
    uploaded = Uploaded()

    def send(name: str, path: Path) -> int | None:
        return _send(bucket, stored.get(name), name, path, dry_run)

    total = sum(len(step) for step in steps)
    with progress("comparing" if dry_run else "uploading", total) as advance:
        for step in steps:
            for name, size in _side_by_side(send, step):
                if size is None:
                    uploaded.unchanged += 1
                else:
                    uploaded.sent.append(name)
                    uploaded.bytes_sent += size
                advance(note=f"{len(uploaded.sent)} sent")
    uploaded.sent.sort()
    return uploaded


def _send(
    bucket: Bucket, stored: Stored | None, name: str, path: Path, dry_run: bool
) -> int | None:
    """The bytes of a file that is sent; None where the bucket has it already."""
    try:
        size = path.stat().st_size
    except OSError as error:
        raise UploadError(f"cannot read {path}: {error.strerror}") from error
    digests = digests_of(path)
    if stored is not None and stored.size == size and bucket.holds(name, stored, digests):
        return None
    if not dry_run:
        bucket.send(name, path, digests)
    return size


def _side_by_side(
    send: Callable[[str, Path], int | None], files: Mapping[str, Path]
) -> Iterator[tuple[str, int | None]]:
    """`send` of every file, in the order in which they are done; the first error ends it."""
    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        names = {pool.submit(send, name, path): name for name, path in files.items()}
        try:
            for done in as_completed(names):
                yield names[done], done.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _named(root: Path, files: Iterable[Path]) -> dict[str, Path]:
    return {file.relative_to(root).as_posix(): file for file in files}


def _is_result(parts: tuple[str, ...]) -> bool:
    """Whether a folder below ``evaluation/`` holds results; `parts` begin with the evaluation."""
    return parts[1:] not in _NOT_RESULTS


def _below(
    root: Path, wanted: Callable[[tuple[str, ...]], bool] = lambda parts: True
) -> Iterator[Path]:
    """All files below `root`, through links too, without hidden ones: those are being written.

    Args:
        wanted: asked with the parts of a folder's path below `root` whether to look into it.
    """
    for place, folders, names in os.walk(root, onerror=_unreadable, followlinks=True):
        folder = Path(place)
        parts = folder.relative_to(root).parts
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and wanted((*parts, name))
        )
        for name in sorted(names):
            if name.startswith("."):
                continue
            if not (folder / name).is_file():
                raise UploadError(f"cannot read {folder / name}: it is no file, or a dead link")
            yield folder / name


def _unreadable(error: OSError) -> None:
    raise UploadError(f"cannot read the folder {error.filename}: {error.strerror}") from error
