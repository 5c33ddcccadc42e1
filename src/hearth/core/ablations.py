"""The section of the ablations: variants of one evaluation's runtime.

Absent from an experiment by default: an ablation plays all episodes of its evaluation again.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator

from hearth.core.sections import Name, RuntimeSettings, Section, check_overrides


class AblationSettings(Section):
    """Variants of the full system, each one more named evaluation on the same instances."""

    base: Name  # the full system: a name below evaluations
    # name -> overrides of the base's runtime, on top of its own
    variants: Annotated[dict[Name, dict[str, Any]], Field(min_length=1)]

    @field_validator("variants")
    @classmethod
    def _check_variants(cls, variants: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for overrides in variants.values():
            check_overrides("runtime", overrides, RuntimeSettings)
        return variants
