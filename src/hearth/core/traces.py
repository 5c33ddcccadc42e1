"""The trace of an episode: what its policy predicted, in a small file beside the result.

The file is one call of a JavaScript function around JSON: a page that was opened from a file system
may load scripts and no other file. So it is read only when somebody looks at the episode.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hearth.core.errors import DataError
from hearth.core.files import write_text

VERSION = 1
SUFFIX = ".trace.js"
_BEFORE, _AFTER = "episodeTrace(", ");\n"


def trace_path(episode: Path) -> Path:
    """The trace beside an episode's JSON."""
    return episode.with_suffix(SUFFIX)


def write_trace(path: Path, trace: Mapping[str, Any]) -> None:
    """Write a trace atomically; docs/leaderboard.md lists its keys."""
    content = {"version": VERSION, **trace}
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    write_text(path, f"{_BEFORE}{text}{_AFTER}")


def read_trace(path: Path) -> dict[str, Any]:
    """Read a trace.

    Raises:
        DataError: missing, damaged, or of another version.
    """
    try:
        text = path.read_text(encoding="utf-8")
        trace = json.loads(text.removeprefix(_BEFORE).removesuffix(_AFTER))
        version = trace["version"]
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is not the trace of an episode ({error})") from error
    if version != VERSION:
        raise DataError(f"{path} is a trace of version {version}; valid: {VERSION}")
    return trace
