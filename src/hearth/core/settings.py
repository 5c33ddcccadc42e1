"""The single source of every setting. YAML files and JSON schemas are checked against it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from hearth.core.ablations import AblationSettings, ablated_run, check_ablations, check_changes
from hearth.core.data_sections import (
    DataSettings,
    DemonstrationSettings,
    StatisticsSettings,
    TokenizerSettings,
)
from hearth.core.errors import SettingsError, choices
from hearth.core.evaluator import EvaluatorSettings
from hearth.core.explaining import explain
from hearth.core.files import hash_json, write_text
from hearth.core.finetuning import FINETUNED, VALIDATION, FinetuningSettings
from hearth.core.launching import LauncherSettings
from hearth.core.overrides import apply_overrides
from hearth.core.own_statistics import check_own_statistics
from hearth.core.publishing import ImportSettings, SubmissionSettings, UploadSettings
from hearth.core.sections import (
    EvaluationSettings,
    ModelSettings,
    Name,
    NonNegativeInt,
    ReportSettings,
    RunSettings,
    RuntimeSettings,
    Section,
)


class Settings(Section):
    """One experiment."""

    experiment: Name
    results: str = "results"
    seed: NonNegativeInt = 0
    benchmark: str
    tasks: tuple[str, ...] = ()  # empty: all tasks of the benchmark
    cameras: tuple[str, ...] = ()  # empty: all cameras of the benchmark
    protect: bool = True  # finished runs are immutable
    demonstrations: DemonstrationSettings | None = None
    data: DataSettings = DataSettings()
    statistics: StatisticsSettings = StatisticsSettings()
    tokenizer: TokenizerSettings = TokenizerSettings()
    model: ModelSettings = ModelSettings()
    runs: dict[Name, RunSettings] = Field(default_factory=dict)
    finetuning: FinetuningSettings | None = None  # the second phase; null: none
    runtime: RuntimeSettings = RuntimeSettings()
    evaluations: dict[Name, EvaluationSettings] = Field(default_factory=dict)
    evaluator: EvaluatorSettings | None = None  # of the challenges; the embedded one needs none
    ablations: AblationSettings | None = None
    imports: dict[Name, ImportSettings] = Field(default_factory=dict)  # results from elsewhere
    report: ReportSettings = ReportSettings()
    submission: SubmissionSettings | None = None  # to a challenge
    upload: UploadSettings | None = None  # to a bucket
    launcher: LauncherSettings = LauncherSettings()

    @field_validator("runs")
    @classmethod
    def _names_are_taken(cls, runs: dict[str, RunSettings]) -> dict[str, RunSettings]:
        for name, meaning in (("expert", "the scripted expert"), (FINETUNED, "the second phase")):
            if name in runs:
                raise ValueError(f"'{name}' names {meaning}; choose another run name")
        return runs

    @model_validator(mode="after")
    def _check(self) -> Settings:
        if self.ablations is not None:
            check_ablations(self, self.ablations)
        check_phases(self)
        check_own_statistics(self)
        if self.ablations is not None:
            check_changes(self, self.ablations)
        for name in self.evaluation_names:
            runtime = self.runtime_for(name)
            used = runtime.actions_to_execute + runtime.actions_to_keep
            if used > self.statistics.horizon:
                raise ValueError(
                    f"evaluation '{name}': actions_to_execute {runtime.actions_to_execute} + "
                    f"actions_to_keep {runtime.actions_to_keep} = {used} exceeds the horizon "
                    f"{self.statistics.horizon}"
                )
            policy = self.evaluation(name).policy
            valid = [*self.run_names, "expert", *([FINETUNED] if self.finetuning else [])]
            for run in [policy] if isinstance(policy, str) else policy.values():
                if run not in valid:
                    raise ValueError(
                        f"evaluation '{name}' wants run '{run}': {choices(run, valid)}"
                    )
        for name in self.imports:
            if name in (*self.evaluation_names, VALIDATION):
                raise ValueError(f"imports.{name}: an evaluation has this name; choose another")
        if self.report.baseline and self.report.baseline not in self.evaluations:
            raise ValueError(
                f"report.baseline '{self.report.baseline}': "
                + choices(self.report.baseline, self.evaluations)
            )
        if self.upload and self.upload.submission and self.submission is None:
            raise ValueError("upload.submission: there is no section 'submission'; give one")
        if (self.demonstrations is None) == (self.data.dataset is None):
            raise ValueError(
                "demonstrations come either from the scripted experts (section "
                "'demonstrations') or from a folder (data.dataset): give exactly one"
            )
        return self

    @property
    def evaluation_names(self) -> tuple[str, ...]:
        """Every named evaluation, those of the ablations last."""
        return (*self.evaluations, *(self.ablations.variants if self.ablations else ()))

    @property
    def uses_tokenizer(self) -> bool:
        """Whether training predicts FAST tokens."""
        return self.model.fast_loss_weight > 0

    @property
    def run_names(self) -> tuple[str, ...]:
        """All runs: the experiment's, then those of ablations and those of the second phase."""
        ablated = self.ablations.run_names if self.ablations else ()
        return (*self.runs, *ablated, *(self.finetuning.run_names if self.finetuning else ()))

    def run(self, name: str) -> RunSettings:
        """The settings of any run, or an error that lists the runs."""
        if name in self.runs:
            return self.runs[name]
        if self.ablations and name in self.ablations.run_names:
            return ablated_run(self, self.ablations, name)
        if self.finetuning and name in self.finetuning.run_names:
            first = self.runs[self.finetuning.initialise_from]
            group = self.finetuning.run_names[name]
            return RunSettings.model_validate(self.finetuning.run_values(first, group))
        raise SettingsError(f"unknown run '{name}': {choices(name, self.run_names)}")

    def for_run(self, name: str) -> Settings:
        """These settings with a run's own overrides of the sections model and statistics."""
        model = {**self.model.model_dump(), **self.run(name).model}
        statistics = {**self.statistics.model_dump(), **self.own_statistics(name)}
        return self.model_copy(
            update={
                "model": ModelSettings.model_validate(model),
                "statistics": StatisticsSettings.model_validate(statistics),
            }
        )

    def first_run(self, name: str) -> str:
        """The run whose fresh start run `name` goes back to: itself, or where it starts from."""
        while (before := self.run(name).initialise_from) is not None:
            name = before
        return name

    def own_statistics(self, name: str) -> dict[str, Any]:
        """What a run measures otherwise than the experiment, as the run that it goes back to."""
        return self.run(self.first_run(name)).statistics

    def evaluation(self, name: str) -> EvaluationSettings:
        """The settings of an evaluation or ablation, or an error that lists them.

        An ablation is its base with other runtime overrides or a run of its own, so that it has the
        same episodes. The evaluation that makes the groups of the second phase has a name but
        stands in no report.
        """
        if name == VALIDATION and self.finetuning and self.finetuning.validation:
            values = self.finetuning.validation.model_dump()
            policy = self.finetuning.initialise_from
            return EvaluationSettings.model_validate({**values, "policy": policy})
        if self.ablations is not None and name in self.ablations.variants:
            base = self.evaluations[self.ablations.base]
            runtime = {**base.runtime, **self.ablations.runtime(name)}
            policy = name if name in self.ablations.run_names else base.policy
            return base.model_copy(update={"runtime": runtime, "policy": policy})
        if name not in self.evaluations:
            valid = self.evaluation_names
            raise SettingsError(f"unknown evaluation '{name}': {choices(name, valid)}")
        return self.evaluations[name]

    def runtime_for(self, evaluation: str) -> RuntimeSettings:
        """The runtime section with the overrides of one evaluation."""
        merged = {**self.runtime.model_dump(), **self.evaluation(evaluation).runtime}
        return RuntimeSettings.model_validate(merged)


def check_phases(settings: Settings) -> None:
    """Refuse runs that start from nowhere, and groups made from what is reported.

    Raises:
        ValueError: naming the run or evaluation and the valid choices.
    """
    _check_finetuning(settings)
    for name in settings.run_names:
        seen, run = [name], settings.run(name)
        while run.initialise_from is not None:
            if run.initialise_from not in settings.run_names:
                others = [key for key in settings.run_names if key != name]
                raise ValueError(
                    f"runs.{seen[-1]}.initialise_from '{run.initialise_from}': "
                    + choices(run.initialise_from, others)
                )
            seen.append(run.initialise_from)
            if len(set(seen)) < len(seen):
                raise ValueError(f"runs start from each other: {' <- '.join(seen)}")
            run = settings.run(run.initialise_from)
        if settings.run(name).validation_every and not settings.data.validation_fraction:
            raise ValueError(
                f"runs.{name}.validation_every {settings.run(name).validation_every} needs "
                "held-out episodes: set data.validation_fraction above 0, or validation_every to 0"
            )


def _check_finetuning(settings: Settings) -> None:
    wanted = settings.finetuning
    if wanted is None:
        return
    if wanted.initialise_from not in settings.runs:
        raise ValueError(
            f"finetuning.initialise_from '{wanted.initialise_from}': "
            + choices(wanted.initialise_from, settings.runs)
        )
    for name in wanted.run_names:
        if name in settings.runs:
            raise ValueError(f"run '{name}' of the second phase: 'runs' has one of this name")
        try:
            settings.run(name)
        except ValidationError as error:
            lines = [f"finetuning.run: {explain(item, Settings)}" for item in error.errors()]
            raise ValueError("\n".join(lines)) from error
    if VALIDATION in settings.evaluation_names:
        raise ValueError(f"'{VALIDATION}' names the evaluation of section 'finetuning'")
    for name, evaluation in settings.evaluations.items():
        if wanted.validation and evaluation.split == wanted.validation.split:
            raise ValueError(
                f"finetuning.validation.split '{wanted.validation.split}' is reported by "
                f"evaluation '{name}': groups chosen on instances that are reported would flatter "
                "the report; take another split for one of them"
            )


def load_settings(
    path: str | Path, overrides: list[str] | None = None, new_runs: Collection[str] | None = None
) -> Settings:
    """Read a YAML file, apply ``dotted.key=value`` overrides and validate.

    Args:
        path: the file.
        overrides: in this order.
        new_runs: runs that are not there yet and may be given settings; None: any.

    Raises:
        SettingsError: naming the key, the value and the valid choices.
    """
    path = Path(path)
    if not path.is_file():
        near = sorted(str(item) for item in path.parent.glob("*.yaml"))
        raise SettingsError(f"no configuration file {path}: {choices(path, near)}")
    try:
        values = yaml.safe_load(path.read_text()) or {}
    except yaml.YAMLError as error:
        raise SettingsError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(values, dict):
        raise SettingsError(f"{path} must hold a mapping, not {type(values).__name__}")
    apply_overrides(values, overrides or [], new_runs)
    return validate_settings(values, source=str(path))


def settings_from_workflow(config: dict[str, Any]) -> Settings:
    """The settings that Snakemake merged from its config files and ``--config``.

    ``--config set="a.b=1 c.d=2"`` applies the command line's dotted overrides.
    """
    values = {key: value for key, value in config.items() if key != "set"}
    apply_overrides(values, str(config.get("set", "")).split())
    return validate_settings(values, source="configuration")


def freeze_settings(settings: Settings) -> Path:
    """Write the resolved settings once under a name of their own content; returns the path."""
    values = settings.model_dump(mode="json")
    folder = Path(settings.results) / settings.experiment / "settings"
    path = folder / f"{hash_json(values)}.yaml"
    if not path.exists():
        write_text(path, yaml.safe_dump(values, sort_keys=False))
    return path


def validate_settings(values: dict[str, Any], source: str) -> Settings:
    """Validate a plain mapping; errors name `source`, key, value and choices."""
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        lines = [explain(item, Settings) for item in error.errors()]
        raise SettingsError(f"{source}: " + "\n".join(lines)) from error
