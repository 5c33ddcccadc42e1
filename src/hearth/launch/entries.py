"""Entries of a Snakemake profile that mean nothing: misspelt, of no rule, or no setting's value.

Snakemake takes any name of a rule or a resource without a word.
"""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Mapping
from typing import Any

from humanfriendly import InvalidTimespan, parse_timespan
from pydantic import ValidationError

from hearth.core.errors import HearthError, choices
from hearth.core.launching import LauncherSettings
from hearth.launch.executors import options_of
from hearth.launch.options import LAUNCHED, RESOURCES, RULES, command_for, launcher_values

_CLOSE = 0.8  # of difflib: a slip of a letter or two; other names may be the site's own


def section(profile: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A section of the profile; an empty one where it is missing or empty.

    As Snakemake does it, options of sbatch lose the inner ones of their two kinds of quotes, and a
    runtime such as "8h" becomes minutes.
    """
    return {key: _read(key, value) for key, value in (profile.get(name) or {}).items()}


def _read(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _read(key, inner) for key, inner in value.items()}
    if isinstance(value, str) and name.endswith("slurm_extra"):
        return value.strip("'\"")
    if isinstance(value, str) and name.endswith("runtime") and not value.isdecimal():
        with contextlib.suppress(InvalidTimespan):  # left as it is, its reader says what is wrong
            return max(round(parse_timespan(value)) // 60, 1)
    return value


def entry_problems(profile: Mapping[str, Any]) -> list[str]:
    """What of the profile nobody reads, or its reader will refuse; needs no cluster."""
    default, rules = section(profile, "default-resources"), section(profile, "set-resources")
    said = [f"default-resources: {text}" for text in _misspelt(default)]
    for name in ("set-resources", "set-threads"):
        said += [
            f"{name}: no rule '{rule}': {choices(rule, RULES)}"
            for rule in section(profile, name)
            if rule not in RULES
        ]
    for rule, resources in rules.items():
        if not isinstance(resources, dict):
            said.append(f"{rule}: {resources!r}; write name: value pairs below it")
            continue
        said += [f"{rule}: {text}" for text in _misspelt(resources)]
        said += [f"{rule}: {text}" for text in _refused(rule, {**default, **resources})]
    return said


def _misspelt(resources: Mapping[str, Any]) -> list[str]:
    found = []
    for name in resources:
        close = difflib.get_close_matches(name, RESOURCES, 1, _CLOSE)
        if name not in RESOURCES and (close or name.startswith(("launcher", "server_"))):
            found.append(f"nothing reads '{name}': {choices(name, RESOURCES)}")
    return found


def _refused(rule: str, resources: dict[str, Any]) -> list[str]:
    """What the launcher would not accept."""
    if rule not in LAUNCHED:
        return []
    try:
        if command_for(rule, resources) != rule:
            LauncherSettings.model_validate(_nested(launcher_values(rule, resources)))
        options_of(str(resources.get("slurm_extra", "")))
    except ValidationError as error:
        return explained(error)
    except HearthError as error:
        return [str(error)]
    return []


def explained(error: ValidationError) -> list[str]:
    """A line for every value that was refused."""
    return [
        ".".join(map(str, item["loc"])) + f" = {item['input']!r}: {item['msg']}"
        if item["type"] != "value_error"
        else item["msg"].removeprefix("Value error, ")
        for item in error.errors()
    ]


def _nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """The content of the section `launcher` from dotted keys."""
    whole: dict[str, Any] = {}
    for key, value in values.items():
        *parents, last = key.split(".")
        place = whole
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return whole["launcher"]
