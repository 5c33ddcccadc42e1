"""The facts of a year's evaluator (config/benchmarks/evaluators), and its command line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from hearth.benchmark import Benchmark
from hearth.benchmark.benchmark import default_folder
from hearth.core.errors import EvaluationError, SettingsError, choices
from hearth.core.evaluator import EvaluatorSettings

_PLACEHOLDER = re.compile(r"\{(\w+)\}")


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SplitFacts(_Facts):
    """A split that the evaluator can play.

    Attributes:
        first: the benchmark's instance that the evaluator's index 0 stands for.
        command: the words that choose the split.
    """

    first: int
    command: tuple[str, ...]


class EvaluatorFacts(_Facts):
    """One year's evaluator; the YAML files say what each entry is.

    Attributes:
        rollouts: the most rollouts of an instance; None for any number.
        batch: words for evaluators that play all instances of a process at once.
    """

    year: int
    versions: tuple[str, ...]
    source: str
    command: tuple[str, ...]
    batch: tuple[str, ...] = ()
    video: tuple[str, ...]
    no_video: tuple[str, ...]
    wrapper: tuple[str, ...]
    robot_config: tuple[str, ...] = ()
    results: str
    videos: str
    rollouts: int | None = None
    splits: Mapping[str, SplitFacts]
    gpu_variable: str

    def options(self) -> set[str]:
        """The options that the evaluator must know; hydra's overrides are none."""
        splits = [word for split in self.splits.values() for word in split.command]
        words = [*self.command, *self.video, *self.wrapper, *self.robot_config, *splits]
        return {word for word in words if word.startswith("--")}


def exist(benchmark: Benchmark) -> bool:
    """Whether an official evaluator plays this benchmark."""
    return _path(benchmark).is_file()


def load(benchmark: Benchmark) -> EvaluatorFacts:
    """The facts of the evaluator that plays `benchmark`.

    Raises:
        SettingsError: there is none, or its file is not valid.
    """
    path = _path(benchmark)
    if not path.is_file():
        valid = [item.stem for item in path.parent.glob("*.yaml")]
        raise SettingsError(
            f"'{benchmark.simulator}' has no official evaluator: "
            + choices(benchmark.simulator, valid)
        )
    try:
        return EvaluatorFacts.model_validate(yaml.safe_load(path.read_text()))
    except (ValidationError, yaml.YAMLError) as error:
        raise SettingsError(f"{path} is not valid: {error}") from error


def _path(benchmark: Benchmark) -> Path:
    return default_folder() / "evaluators" / f"{benchmark.simulator}.yaml"


def fill(words: Iterable[str], values: Mapping[str, object]) -> list[str]:
    """Words with their placeholders filled in; a list takes a word each where it stands alone.

    Braces around anything else stay as they are.

    >>> fill(["--at", "{at}", "[{at}]", "{else}"], {"at": [0, 2]})
    ['--at', '0', '2', '[0,2]', '{else}']
    """
    filled: list[str] = []
    for word in words:
        alone = _PLACEHOLDER.fullmatch(word)
        value = values.get(alone[1]) if alone else None
        if isinstance(value, list):
            filled.extend(map(str, value))
        else:
            filled.append(_PLACEHOLDER.sub(lambda match: _text(match, values), word))
    return filled


def _text(match: re.Match[str], values: Mapping[str, object]) -> str:
    if match[1] not in values:
        return match[0]
    value = values[match[1]]
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def command_line(
    facts: EvaluatorFacts,
    settings: EvaluatorSettings,
    split: str,
    instances: Sequence[int],
    video: bool,
    batch: bool,
    values: Mapping[str, object],
) -> list[str]:
    """The evaluator's words after those that start Python.

    Args:
        instances: of the benchmark, in the order of play.
        batch: whether this evaluator plays in batches.
        values: what the words stand for: package, task, output, host, port, rollouts.

    Raises:
        KeyError: what `check` refuses.
    """
    chosen = facts.splits[split]
    words = [*facts.command, *chosen.command, *(facts.video if video else facts.no_video)]
    filling = {**values, "instances": [instance - chosen.first for instance in instances]}
    if batch:
        words += facts.batch
    if settings.wrapper is not None:
        words += facts.wrapper
        filling["wrapper"] = settings.wrapper
    if settings.robot_config is not None:
        words += facts.robot_config
        filling["robot_config"] = Path(settings.robot_config).expanduser().absolute()
    return [*fill(words, filling), *settings.arguments]


def check(facts: EvaluatorFacts, settings: EvaluatorSettings, split: str, rollouts: int) -> None:
    """Refuse what the evaluator cannot do, before anything starts.

    Raises:
        EvaluationError: it cannot play that split, so many rollouts, or take that robot.
    """
    if split not in facts.splits:
        raise EvaluationError(
            f"the evaluator of {facts.year} cannot play split '{split}': "
            + choices(split, facts.splits)
        )
    if facts.rollouts is not None and rollouts > facts.rollouts:
        raise EvaluationError(
            f"rollouts = {rollouts}: the evaluator of {facts.year} plays at most {facts.rollouts} "
            "of an instance; for more give the policy further evaluations"
        )
    if settings.robot_config is not None and not facts.robot_config:
        raise EvaluationError(
            f"evaluator.robot_config: the evaluator of {facts.year} takes no robot; leave it out"
        )
