"""The section of the ablations: variants of one evaluation, of its runtime or of its training.

Absent from an experiment by default: an ablation plays all episodes of its evaluation again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, ValidationError, field_validator

from hearth.core.errors import choices
from hearth.core.own_statistics import check_keys
from hearth.core.sections import (
    ModelSettings,
    Name,
    RunSettings,
    RuntimeSettings,
    Section,
    check_overrides,
)

if TYPE_CHECKING:
    from hearth.core.settings import Settings

# The keys of a variant that are no keys of the runtime: overrides of what the base's run is trained
# with. A variant with one of them has a run of its own.
TRAINING = ("model", "run", "statistics")


class AblationSettings(Section):
    """Variants of the full system, each one more named evaluation on the same instances."""

    base: Name  # the full system: a name below evaluations
    # name -> overrides of the base's runtime, on top of its own; below the keys model, run and
    # statistics those of its training, which is carried out again
    variants: Annotated[dict[Name, dict[str, Any]], Field(min_length=1)]

    @field_validator("variants")
    @classmethod
    def _check_variants(cls, variants: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for name, overrides in variants.items():
            _check_variant(name, overrides)
        return variants

    @property
    def run_names(self) -> tuple[str, ...]:
        """The variants with a run of their own, which has their name."""
        return tuple(name for name, own in self.variants.items() if set(own) & set(TRAINING))

    def runtime(self, name: str) -> dict[str, Any]:
        """A variant's overrides of the runtime."""
        return {key: value for key, value in self.variants[name].items() if key not in TRAINING}


def _check_variant(name: str, overrides: dict[str, Any]) -> None:
    for key, value in overrides.items():
        if key not in TRAINING:
            if key not in RuntimeSettings.model_fields:
                valid = [*RuntimeSettings.model_fields, *TRAINING]
                raise ValueError(f"{name}: unknown runtime key '{key}': {choices(key, valid)}")
            check_overrides("runtime", {key: value}, RuntimeSettings)
        elif not isinstance(value, dict) or not value:
            raise ValueError(f"{name}.{key} = {value!r} must be overrides, such as {{key: value}}")
    check_overrides("model", overrides.get("model", {}), ModelSettings)
    check_keys(f"{name}.statistics", overrides.get("statistics", {}))
    valid = [key for key in RunSettings.model_fields if key not in TRAINING]
    for key in overrides.get("run", {}):
        if key not in valid:
            raise ValueError(f"{name}: unknown or taken run key '{key}': {choices(key, valid)}")


def ablated_run(settings: Settings, ablations: AblationSettings, name: str) -> RunSettings:
    """The run of a variant: that of the full system, with what differs.

    Raises:
        pydantic.ValidationError: the two do not go together.
    """
    values = settings.runs[str(settings.evaluations[ablations.base].policy)].model_dump()
    variant = ablations.variants[name]
    own = {
        **variant.get("run", {}),
        **{key: variant.get(key, {}) for key in ("model", "statistics")},
    }
    for key, value in own.items():
        nested = isinstance(value, dict) and isinstance(values[key], dict)
        values[key] = {**values[key], **value} if nested else value
    return RunSettings.model_validate(values)


def check_ablations(settings: Settings, ablations: AblationSettings) -> None:
    """Refuse a base without a runtime or a run, and variants that are taken or do not fit it.

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
    for name in ablations.variants:
        if name in evaluations:
            raise ValueError(
                f"ablations.variants.{name}: an evaluation has this name; choose another"
            )
    for name in ablations.run_names:
        _check_run(settings, ablations, name)


def _check_run(settings: Settings, ablations: AblationSettings, name: str) -> None:
    place, policy = f"ablations.variants.{name}", settings.evaluations[ablations.base].policy
    if not isinstance(policy, str) or policy not in settings.runs:
        raise ValueError(
            f"{place} is trained anew, but ablations.base '{ablations.base}' is played by "
            f"{policy!r}, not by one run below 'runs': " + choices(str(policy), settings.runs)
        )
    taken = ("expert", "finetuned", *settings.runs)
    if name in (*taken, *(settings.finetuning.run_names if settings.finetuning else ())):
        raise ValueError(f"{place} has a run of its name, which is taken; choose another")
    try:
        ablated_run(settings, ablations, name)
    except ValidationError as error:
        found = error.errors()[0]
        where = ".".join(map(str, ("run", *found["loc"])))
        message = found["msg"].removeprefix("Value error, ")
        raise ValueError(f"{place}.{where}: {message}") from error


def check_changes(settings: Settings, ablations: AblationSettings) -> None:
    """Refuse variants that are their base in all, or in a section that they name.

    Raises:
        ValueError: naming the variant and what it does not change.
    """
    base, policy = ablations.base, settings.evaluations[ablations.base].policy
    for name, overrides in ablations.variants.items():
        same = []
        if not set(overrides) - set(TRAINING):
            same = [] if overrides else ["runtime"]
        elif settings.runtime_for(name) == settings.runtime_for(base):
            same = ["runtime"]
        if name in ablations.run_names:
            full, own = (settings.for_run(run) for run in (str(policy), name))
            pairs = {
                "model": (full.model, own.model),
                "statistics": (full.statistics, own.statistics),
                "run": tuple(
                    settings.run(run).model_dump(exclude={"model", "statistics"})
                    for run in (str(policy), name)
                ),
            }
            same += [key for key in TRAINING if key in overrides and pairs[key][0] == pairs[key][1]]
        if same:
            raise ValueError(
                f"ablations.variants.{name} = {overrides} changes nothing of evaluation "
                f"'{base}' ({', '.join(same)}); valid are other values than its own"
            )
