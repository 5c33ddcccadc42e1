"""Which of the files that results name are there."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

_NAMED = 3  # of the videos that are missing


class Files:
    """Which files exist below the results root; a folder is listed once.

    Asking a cluster's file system about 20,000 files one by one takes longer than all the rest.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._listed: dict[str, frozenset[str]] = {}

    def link(self, place: str | None) -> str | None:
        """The link of the page to `place` below the root; None where there is no such file."""
        if place is None:
            return None
        path = PurePosixPath(place)
        folder = str(path.parent)
        if folder not in self._listed:
            full = self.root / folder
            names = (item.name for item in full.iterdir()) if full.is_dir() else ()
            self._listed[folder] = frozenset(names)
        return f"../{place}" if path.name in self._listed[folder] else None


def missing_videos(files: Files, evaluation: str, videos: Iterable[str | None]) -> list[str]:
    """At most one fault: how many of an evaluation's videos are missing, and the first names."""
    gone = [PurePosixPath(v).name for v in videos if v is not None and files.link(v) is None]
    if not gone:
        return []
    count = "1 video is" if len(gone) == 1 else f"{len(gone)} videos are"
    more = f" and {len(gone) - _NAMED} more" if len(gone) > _NAMED else ""
    return [f"{evaluation}: {count} missing: {', '.join(gone[:_NAMED])}{more}"]
