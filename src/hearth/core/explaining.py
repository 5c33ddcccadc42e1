"""What is wrong with a setting, in words."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from hearth.core.errors import choices
from hearth.core.sections import EvaluationSettings, RunSettings, Section

_NAMED = {"runs": RunSettings, "evaluations": EvaluationSettings}


def explain(item: Any, settings: type[Section]) -> str:
    """One of pydantic's errors in a line: key, value and valid choices; `settings` is the root."""
    location = ".".join(str(part) for part in item["loc"]) or "settings"
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        valid = _keys_at(item["loc"][:-1], settings)
        return f"unknown key '{location}': {choices(item['loc'][-1], valid)}"
    if item["type"] == "value_error":
        return f"{location}: {message}"
    if item["type"] == "missing":
        return f"missing key '{location}'"
    return f"'{location}' = {item['input']!r}: {message}"


def _keys_at(location: tuple[Any, ...], settings: type[Section]) -> list[str]:
    """Field names of the section that `location` points to."""
    section: Any = settings
    for part in location:
        if not (isinstance(section, type) and issubclass(section, BaseModel)):
            return []
        field = section.model_fields.get(str(part))
        if field is None:
            return list(section.model_fields)
        section = _section_of(field.annotation) or _NAMED.get(str(part))
        if section in _NAMED.values():
            # runs.<name>.key and evaluations.<name>.key: the name is one more part.
            return list(section.model_fields)
    return list(section.model_fields) if section else []


def _section_of(annotation: Any) -> type[BaseModel] | None:
    candidates = [annotation, *getattr(annotation, "__args__", ())]
    for candidate in candidates:
        if isinstance(candidate, type) and issubclass(candidate, Section):
            return candidate
    return None
