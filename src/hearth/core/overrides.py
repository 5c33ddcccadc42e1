"""``--set dotted.key=value`` and Snakemake's ``--config set="..."``."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import yaml

from hearth.core.errors import SettingsError, choices


def apply_overrides(
    values: dict[str, Any], overrides: Iterable[str], new_runs: Collection[str] | None = ()
) -> None:
    """Change the plain mapping `values` in place.

    A name below `runs` or `evaluations` that is nowhere else is a typo, not a new entry.

    Args:
        values: the settings as read from YAML.
        overrides: each "dotted.key=value", the value as YAML.
        new_runs: runs that are about to be made, whose settings may be given; None: any.

    Raises:
        SettingsError: an override without a key or value, or of a run or evaluation that is not
            there; with the valid names.
    """
    overrides = list(overrides)
    known = {section: _names(values, section) for section in ("runs", "evaluations")}
    for override in overrides:
        _override(values, override)
    for override in overrides:
        section, *rest = override.partition("=")[0].split(".")
        if section not in known or len(rest) < 2 or rest[0] in known[section]:
            continue
        expected = section == "runs" and (new_runs is None or rest[0] in new_runs)
        if not expected and not _is_used(values, section, rest[0]):
            kind = section.removesuffix("s")
            raise SettingsError(
                f"--set {override}: no {kind} '{rest[0]}': {choices(rest[0], known[section])}. "
                f"A new one is given as a whole: --set {section}.{rest[0]}={{...}}"
            )


def _names(values: dict[str, Any], section: str) -> set[str]:
    entries = values.get(section)
    return set(entries) if isinstance(entries, dict) else set()


def _is_used(values: dict[str, Any], section: str, name: str) -> bool:
    """Whether a new evaluation says who plays, or someone names a new run."""
    evaluations = values.get("evaluations") or {}
    if section == "evaluations":
        return "policy" in evaluations[name]
    named = [entry.get("policy") for entry in evaluations.values() if isinstance(entry, dict)]
    named += [entry.get("initialise_from") for entry in values["runs"].values() if entry]
    return name in named


def _override(values: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise SettingsError(f"--set {override}: write --set dotted.key=value")
    *parents, last = key.split(".")
    section = values
    for parent in parents:
        below = section.get(parent)
        if not isinstance(below, dict):
            below = section[parent] = {}
        section = below
    section[last] = yaml.safe_load(text)
