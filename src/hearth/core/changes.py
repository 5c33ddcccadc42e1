"""What differs between the settings that made something and those of now."""

from __future__ import annotations

from typing import Any

_LONGEST = 60  # characters of a value in a message


def differences(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[str]:
    """Lines "key: old -> new", nested keys dotted, sorted; long values are cut.

    >>> differences({"run": {"steps": 3}, "seed": 0}, {"run": {"steps": 4}, "seed": 0})
    ['run.steps: 3 -> 4']
    """
    lines = []
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            lines += differences(before, after, f"{prefix}{key}.")
        elif before != after:
            lines.append(f"{prefix}{key}: {_short(before)} -> {_short(after)}")
    return lines


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
