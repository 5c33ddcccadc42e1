"""The section of the ablations: variants of one evaluation's runtime.

Absent from an experiment by default: an ablation plays all episodes of its evaluation again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, field_validator

from hearth.core.errors import choices
from hearth.core.sections import Name, RuntimeSettings, Section, check_overrides

if TYPE_CHECKING:
    from hearth.core.settings import Settings


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


def check_ablations(settings: Settings, ablations: AblationSettings) -> None:
    """Refuse a base without a runtime, and variants that are taken or change nothing.

    Raises:
        ValueError: naming the base or the variant and the valid choices.
    """
    base, evaluations = ablations.base, settings.evaluations
    if base not in evaluations:
        raise ValueError(f"ablations.base '{base}': {choices(base, evaluations)}")
    policy = evaluations[base].policy
    if "expert" in ([policy] if isinstance(policy, str) else policy.values()):
        raise ValueError(
            f"ablations.base '{base}' is played by the scripted expert, which has no runtime; "
            "choose an evaluation of a trained run"
        )
    for name, overrides in ablations.variants.items():
        if name in evaluations:
            raise ValueError(
                f"ablations.variants.{name}: an evaluation has this name; choose another"
            )
        if settings.runtime_for(name) == settings.runtime_for(base):
            raise ValueError(
                f"ablations.variants.{name} = {overrides} changes nothing of evaluation "
                f"'{base}'; valid are other values than its own"
            )
