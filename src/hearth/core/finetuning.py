"""The second phase's section of the settings: fine-tuning per group of tasks (report, 6.4)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from hearth.core.errors import choices
from hearth.core.sections import Name, PlaySettings, RunSettings, Section

FINETUNED = "finetuned"  # as an evaluation's policy: the run of each task's group
VALIDATION = "finetuning-validation"  # the evaluation that makes the groups
GROUPS = ("best", "good", "bad")  # that it makes

# What the second phase itself decides.
_TAKEN = ("tasks", "initialise_from", "initial_weights")


class ValidationSettings(PlaySettings):
    """The first phase's evaluation that makes the groups, on instances that nobody reports."""

    split: Literal["train", "validation"] = "validation"


class FinetuningSettings(Section):
    """One more run per group of tasks, each from the weights of the same first run.

    The run of group `best` after run `main` is `main-best`. Groups are either written down, or
    made from the first phase's scores.
    """

    initialise_from: Name = "main"
    # What differs from that run's settings: steps, learning_rate...
    run: dict[str, Any] = Field(default_factory=dict)
    groups: dict[Name, tuple[str, ...]] | None = None  # tasks of none keep the first run's policy
    validation: ValidationSettings | None = None
    best_success_rate: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5  # from it on a task is best

    @field_validator("run")
    @classmethod
    def _check_run(cls, run: dict[str, Any]) -> dict[str, Any]:
        valid = [key for key in RunSettings.model_fields if key not in _TAKEN]
        for key in run:
            if key not in valid:
                raise ValueError(f"unknown or taken run key '{key}': {choices(key, valid)}")
        return run

    @model_validator(mode="after")
    def _check_groups(self) -> FinetuningSettings:
        if (self.groups is None) == (self.validation is None):
            raise ValueError(
                "groups of tasks are either written down ('groups') or made by an evaluation of "
                "the first phase ('validation'): give exactly one"
            )
        seen: dict[str, str] = {}
        for name, tasks in (self.groups or {}).items():
            for task in tasks:
                if task in seen:
                    raise ValueError(f"task '{task}' stands in '{seen[task]}' and in '{name}'")
                seen[task] = name
        return self

    @property
    def group_names(self) -> tuple[str, ...]:
        """All groups that there may be."""
        return GROUPS if self.groups is None else tuple(self.groups)

    @property
    def run_names(self) -> dict[str, str]:
        """Run -> its group."""
        return {f"{self.initialise_from}-{group}": group for group in self.group_names}

    def run_values(self, first: RunSettings, group: str) -> dict[str, Any]:
        """The settings of a group's run: those of the first one, with what differs."""
        values = first.model_dump()
        for key, value in self.run.items():
            nested = isinstance(value, dict) and isinstance(values[key], dict)
            values[key] = {**values[key], **value} if nested else value
        tasks = None if self.groups is None else self.groups[group] or None
        return {
            **values,
            "tasks": tasks,
            "initial_weights": None,
            "initialise_from": self.initialise_from,
        }
