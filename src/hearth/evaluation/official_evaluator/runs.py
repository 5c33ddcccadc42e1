"""One run of an evaluator: its start, its episodes, and the signs of life it gives."""

from __future__ import annotations

import itertools
import os
import platform
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hearth.core.evaluator import EvaluatorSettings
from hearth.evaluation import identity
from hearth.evaluation.official_evaluator.facts import EvaluatorFacts, command_line, fill
from hearth.evaluation.official_evaluator.installation import (
    Installation,
    start_words,
    variables,
)
from hearth.evaluation.official_evaluator.process import (
    Activity,
    EvaluatorProcess,
    read_activity,
)
from hearth.evaluation.pending import Episode, PendingEpisodes
from hearth.evaluation.processes import PolicyServer


@dataclass
class Run:
    """One process of the evaluator.

    Attributes:
        episodes: those without a result, in the order of play.
        order: all that it plays; it also plays rollouts again whose result is there.
        before: what the server had seen on its port before it started.
        last_sign: monotonic seconds of its last sign of life.
        seen: what the server last saw on its port.
        written: the number of results that it has written.
        faults: what is wrong with results that are not whole, by episode.
        origin: what its server says of itself, for the provenance of results.
        films: monotonic seconds when the result of an episode without its film was first seen.
    """

    process: EvaluatorProcess
    slot: int
    port: int
    folder: Path
    episodes: list[Episode]
    order: list[identity.Key]
    before: Activity
    last_sign: float
    since: str
    seen: Activity = field(init=False)
    written: int = 0
    faults: dict[identity.Key, str] = field(default_factory=dict)
    origin: dict[str, Any] = field(default_factory=dict)
    films: dict[tuple[int, int], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.seen = self.before

    def note(self, activity: Activity) -> None:
        """Take in what the server sees of it."""
        if activity != self.seen:
            self.last_sign = time.monotonic()
        self.seen = activity

    @property
    def began(self) -> bool:
        """Whether an episode is under way: evaluators reset the policy before each."""
        here = self.seen.resets > self.before.resets
        return here and (self.seen.steps > 0 or self.seen.waiting > 0)

    @property
    def connected(self) -> bool:
        """Whether its scene was loaded: evaluators connect after that."""
        return self.written > 0 or self.seen.resets > self.before.resets

    @property
    def useful(self) -> bool:
        """Whether it came to a first observation or result at all."""
        return self.began or self.written > 0 or self.seen.answers > self.before.answers

    @property
    def lost(self) -> bool:
        """Whether the shared server was lost under an episode of it."""
        return self.seen.lost > self.before.lost

    def done(self, episode: Episode) -> None:
        """The result of an episode was kept or refused."""
        self.episodes.remove(episode)
        self.since, self.last_sign = now(), time.monotonic()
        self.written += 1


class Starter:
    """Starts evaluators for the episodes of one task.

    Args:
        part: begins the names of logs and folders, where several processes share the task.
    """

    def __init__(
        self,
        pending: PendingEpisodes,
        settings: EvaluatorSettings,
        facts: EvaluatorFacts,
        installation: Installation,
        part: str,
    ) -> None:
        self._pending, self._settings = pending, settings
        self._facts, self._installation = facts, installation
        self._name = f"{pending.task}_{part}"
        self._count = itertools.count()
        self._logs = pending.results.evaluation(pending.evaluation) / "logs"

    def start(self, slot: int, server: PolicyServer, episodes: list[Episode]) -> Run:
        """Start a process that plays these episodes.

        Args:
            slot: its number among those side by side, which chooses its port and its GPU.
        """
        # Never a name twice: the container of the one before may still be on its way out.
        name = f"{self._name}{slot}_{platform.node()}_{os.getpid()}_{next(self._count)}"
        folder = self._pending.results.official(self._pending.evaluation) / "running" / name
        folder = folder.absolute()
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        settings, port = self._settings, server.ports[slot]
        values: dict[str, Any] = {"name": f"hearth-{name}", "slot": slot}
        environment = {}
        if settings.gpus:
            values["gpu"] = settings.gpus[slot % len(settings.gpus)]
            environment[self._facts.gpu_variable] = str(values["gpu"])
        address = (server.address[0], port)
        # What an earlier evaluator had on this port is none of this one's.
        seen = (read_activity(address) or {}).get(port, Activity())
        process = EvaluatorProcess(
            [*start_words(settings, values), *self._words(folder, address, episodes)],
            self._logs / f"{self._name}evaluator{slot}.log",
            {**environment, **variables(settings, values)},
            settings.grace_seconds,
            fill(settings.stop, values),
        )
        order = [
            (instance, rollout)
            for instance in dict.fromkeys(episode.key[0] for episode in episodes)
            for rollout in range(_rollouts(episodes))
        ]
        return Run(process, slot, port, folder, episodes, order, seen, time.monotonic(), now())

    def _words(
        self, folder: Path, address: tuple[str, int], episodes: Sequence[Episode]
    ) -> list[str]:
        """The evaluator's command after Python."""
        wanted = self._pending.wanted
        values = {
            "package": self._installation.package,
            "task": self._pending.task,
            "output": folder,
            "host": address[0],
            "port": address[1],
            # It plays them from the first on; those that are finished are not kept twice.
            "rollouts": _rollouts(episodes),
        }
        instances = list(dict.fromkeys(episode.key[0] for episode in episodes))
        return command_line(
            self._facts, self._settings, wanted.split, instances, wanted.video,
            self._installation.batch, values,
        )  # fmt: skip


def _rollouts(episodes: Sequence[Episode]) -> int:
    return max(episode.key[1] for episode in episodes) + 1


def now() -> str:
    """The time, for provenance."""
    return datetime.now(UTC).isoformat(timespec="seconds")
