"""Bad episodes: listed in a file with their reasons, and an error where there are too many."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from hearth.core.errors import DataError
from hearth.core.files import write_json

_SHOWN = 20  # bad episodes named in a message; the file names all


@dataclass(frozen=True)
class BadEpisode:
    """An episode that is left out, and why."""

    episode_index: int
    reason: str


def write_quarantine(path: Path, task: str, total: int, bad: list[BadEpisode]) -> None:
    """Write the list; without bad episodes there is no such file."""
    if bad:
        rows = [asdict(item) for item in bad]
        write_json(path, {"task": task, "episodes": total, "bad": rows})
    else:
        path.unlink(missing_ok=True)


def check_quarantine(
    path: Path, task: str, total: int, bad: list[BadEpisode], allowed: float
) -> None:
    """Accept the bad episodes only up to the part of all that is `allowed`.

    Raises:
        DataError: there are more, or nothing good is left.
    """
    if len(bad) > allowed * total or len(bad) == total:
        limit = f"data.allowed_bad_fraction allows {int(allowed * total)}; all are in {path}"
        raise DataError(f"{describe(task, total, bad)}\n{limit}")


def describe(task: str, total: int, bad: list[BadEpisode]) -> str:
    """Lines that name the first bad episodes and their reasons."""
    lines = [f"{task}: {len(bad)} of {total} episodes are bad:"]
    lines += [f"  {item.episode_index:08d}: {item.reason}" for item in bad[:_SHOWN]]
    if len(bad) > _SHOWN:
        lines.append(f"  and {len(bad) - _SHOWN} more")
    return "\n".join(lines)
