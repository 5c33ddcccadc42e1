"""Failure labels: the reasons that people gave who watched an episode's video (report, 9.2.2).

A file ``evaluation/<evaluation>/labels/*.json`` is what the page saves. Whatever is wrong with a
file or a label is a fault that names it; the other labels count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from hearth.benchmark.benchmark import default_folder
from hearth.core.errors import DataError, SettingsError, choices
from hearth.core.files import hash_json, read_json
from hearth.core.results import Results
from hearth.reporting.merged import Episode, Evaluation, TaskResult
from hearth.reporting.merged_files import fault_text

LABEL_FORMAT = "hearth failure labels 1"

EpisodeKey = tuple[str, int, int]  # task, instance, rollout
_Words = Annotated[str, Field(min_length=1, pattern=r"\S")]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Reason(_Model):
    """A reason that can be picked: its name in the files, its title and what it means."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    title: _Words
    description: _Words


class _Reasons(_Model):
    reasons: Annotated[list[Reason], Field(min_length=1)]


class _Header(_Model):
    format: str
    evaluation: str
    labeller: _Words
    labels: list[Any]


class _Entry(_Model):
    """One label as a file holds it. `result` is the `result_hash` of what was watched."""

    task: str
    instance_id: int
    rollout_id: int
    result: str
    reasons: Annotated[list[str], Field(min_length=1)]
    note: str = ""
    saved: Annotated[AwareDatetime, Field(strict=False)]

    @property
    def key(self) -> EpisodeKey:
        return self.task, self.instance_id, self.rollout_id


@dataclass(frozen=True)
class Label:
    """What one person said about one episode."""

    labeller: str
    reasons: tuple[str, ...]
    note: str


@dataclass(frozen=True)
class FailureLabels:
    """The labels of an evaluation.

    Attributes:
        evaluation, split: what was labelled.
        failures: episodes that ended without success; crashed and missing ones show nothing.
        labels: by episode, one per person.
    """

    evaluation: str
    split: str
    failures: int
    labels: Mapping[EpisodeKey, tuple[Label, ...]]

    @property
    def labelled(self) -> int:
        return len(self.labels)

    @property
    def labellers(self) -> tuple[str, ...]:
        return tuple(sorted({each.labeller for found in self.labels.values() for each in found}))

    def episodes(self, reason: str) -> float:
        """Episodes with this reason; where people differ, the share of them that named it."""
        return sum(
            sum(reason in label.reasons for label in found) / len(found)
            for found in self.labels.values()
        )

    def share(self, reason: str) -> float:
        """Of the labelled episodes; shares sum to more than 1, since several reasons may hold."""
        return self.episodes(reason) / self.labelled if self.labelled else 0.0


def load_reasons(path: Path | None = None) -> tuple[Reason, ...]:
    """The reasons that can be picked, most frequent in the report first.

    Raises:
        SettingsError: the file is missing or not valid, or a name stands in it twice.
    """
    path = path or default_folder().parent / "labels" / "failure_reasons.yaml"
    try:
        reasons = _Reasons.model_validate(yaml.safe_load(path.read_text(encoding="utf-8"))).reasons
    except (OSError, ValidationError, yaml.YAMLError) as error:
        raise SettingsError(f"{path} holds no valid failure reasons: {error}") from error
    names = [reason.name for reason in reasons]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SettingsError(f"{path} names {', '.join(twice)} twice")
    return tuple(reasons)


def result_hash(result: TaskResult, episode: Episode) -> str:
    """Identifies what was watched: a label does not hold for another result of the same episode."""
    played = result.policy_hash, result.config_hash
    return hash_json([result.task, *episode.key, *played, episode.status, episode.q, episode.steps])


def is_failure(episode: Episode) -> bool:
    """Whether the episode ran to an end without success, so that there is a reason to see."""
    return episode.present and episode.q < 1.0


def read_labels(
    root: Path | str, evaluation: Evaluation, reasons: Sequence[Reason]
) -> tuple[FailureLabels, tuple[str, ...]]:
    """All labels of an evaluation, and what was wrong with files and labels.

    A person's later label of an episode replaces the earlier one.
    """
    newest: dict[tuple[EpisodeKey, str], tuple[_Entry, Label]] = {}
    faults: list[str] = []
    reader = _Reader(evaluation, {reason.name for reason in reasons})
    for path in sorted(Results(Path(root)).labels(evaluation.name).glob("*.json")):
        try:
            header = _header(path, evaluation.name)
        except DataError as error:
            faults.append(fault_text(error, root))
            continue
        seen: set[EpisodeKey] = set()
        for number, value in enumerate(header.labels, start=1):
            try:
                entry = reader.entry(value, seen)
            except DataError as error:
                faults.append(fault_text(DataError(f"{path}: label {number}: {error}"), root))
                continue
            seen.add(entry.key)
            place = entry.key, header.labeller
            if place not in newest or entry.saved > newest[place][0].saved:
                label = Label(header.labeller, tuple(dict.fromkeys(entry.reasons)), entry.note)
                newest[place] = entry, label
    labels: dict[EpisodeKey, tuple[Label, ...]] = {}
    for (key, _), (_, label) in sorted(newest.items(), key=lambda item: item[0]):
        labels[key] = (*labels.get(key, ()), label)
    failures = sum(is_failure(e) for r in evaluation.results.values() for e in r.episodes)
    return FailureLabels(evaluation.name, evaluation.split, failures, labels), tuple(faults)


def _header(path: Path, evaluation: str) -> _Header:
    """The file without its labels checked.

    Raises:
        DataError: not a file of labels, or of another evaluation.
    """
    try:
        header = _Header.model_validate(read_json(path))
    except ValidationError as error:
        raise DataError(f"{path} is not a file of failure labels: {_first(error)}") from error
    if header.format != LABEL_FORMAT:
        raise DataError(f"{path} has format '{header.format}', expected '{LABEL_FORMAT}'")
    if header.evaluation != evaluation:
        raise DataError(f"{path} labels '{header.evaluation}' but lies in '{evaluation}'")
    return header


def _first(error: ValidationError) -> str:
    """The first finding in words: where, what is wrong, and the value."""
    found = error.errors()[0]
    place = ".".join(str(part) for part in found["loc"]) or "the content"
    return f"{place}: {found['msg']} (found {str(found['input'])[:60]!r})"


class _Reader:
    """Checks single labels against the results that they speak of."""

    def __init__(self, evaluation: Evaluation, reasons: set[str]) -> None:
        self.reasons = reasons
        self.results = evaluation.results
        self.episodes = {
            (task, *episode.key): episode
            for task, result in evaluation.results.items()
            for episode in result.episodes
        }

    def entry(self, value: Any, seen: set[EpisodeKey]) -> _Entry:
        """The label if it holds.

        Raises:
            DataError: what it names does not exist, is no failure, or has changed since.
        """
        try:
            entry = _Entry.model_validate(value)
        except ValidationError as error:
            raise DataError(_first(error)) from error
        if entry.task not in self.results:
            raise DataError(f"unknown task '{entry.task}': {choices(entry.task, self.results)}")
        name = f"{entry.task}, instance {entry.instance_id}, rollout {entry.rollout_id}"
        episode = self.episodes.get(entry.key)
        if episode is None:
            raise DataError(f"{name} is not an episode of this evaluation")
        if entry.key in seen:
            raise DataError(f"{name} is labelled twice in this file")
        for reason in entry.reasons:
            if reason not in self.reasons:
                raise DataError(
                    f"{name}: unknown reason '{reason}': {choices(reason, self.reasons)}"
                )
        if not is_failure(episode):
            raise DataError(f"{name} is no failure: its status is '{episode.status}'")
        if entry.result != result_hash(self.results[entry.task], episode):
            raise DataError(f"{name} has another result than the one that was watched")
        return entry
