"""A protected experiment refuses changed settings before Snakemake deletes anything.

Snakemake removes the declared outputs of a rule before it runs it again, so the commands' own
refusals come too late for the markers. The workflow asks here while it is read.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from hearth.benchmark import Benchmark
from hearth.commands.recording import recorded_otherwise
from hearth.core.changes import differences
from hearth.core.errors import SettingsError, TrainingError
from hearth.core.files import read_json
from hearth.core.groups import tasks_of_run
from hearth.core.results import Results
from hearth.core.settings import Settings
from hearth.evaluation import protection
from hearth.training.fingerprint import settings_part, started_with

_LINES = 20  # at most, of all that changed


def check_protected(settings: Settings, benchmark: Benchmark, tasks: Sequence[str]) -> None:
    """Refuse settings that would replace what a protected experiment has.

    Raises:
        SettingsError: naming every changed setting of demonstrations, runs and evaluations, and
            the choices.
        DataError: a file that remembers settings is damaged.
    """
    if not settings.protect:
        return
    found = [
        *_of_demonstrations(settings, benchmark, tasks),
        *_of_runs(settings, benchmark, tasks),
        *_of_evaluations(settings, benchmark, tasks),
    ]
    if found:
        rest = len(found) - _LINES
        more = [f"  and {rest} more"] if rest > 0 else []
        raise SettingsError(
            f"experiment '{settings.experiment}' has work done with other settings, which "
            "'protect' keeps:\n" + "\n".join([*(f"  {line}" for line in found[:_LINES]), *more])
            + "\nNothing was deleted. Take the change back; or give what changed a new name (below "
            "'runs' or 'evaluations', or a new 'experiment'); or let the old work go with "
            'protect=false, e.g. snakemake ... --config set="protect=false"'
        )  # fmt: skip


def _of_demonstrations(
    settings: Settings, benchmark: Benchmark, tasks: Sequence[str]
) -> Iterator[str]:
    if settings.demonstrations is None:
        return
    results = Results.of(settings)
    learned = any((results.run(name) / "fingerprint.json").exists() for name in settings.run_names)
    for task in tasks:
        for line in recorded_otherwise(settings, benchmark, task):
            yield f"demonstrations of {task}: {line}"
        marker = results.demonstrations(task)
        if marker.is_file():
            recorded = len(read_json(marker)["episodes"])
            wanted = settings.demonstrations.episodes(task)
            # More of them are only added, unless a run has learned from those that there are.
            if wanted < recorded or (wanted > recorded and learned):
                yield f"demonstrations of {task}: episodes_per_task: {recorded} -> {wanted}"


def _of_runs(settings: Settings, benchmark: Benchmark, tasks: Sequence[str]) -> Iterator[str]:
    results = Results.of(settings)
    for name in settings.run_names:
        before = started_with(results.run(name))
        if before is None:
            continue
        now = settings_part(settings.for_run(name), name, benchmark)
        with contextlib.suppress(TrainingError):  # they follow from scores that are not there yet
            now["tasks"] = list(tasks_of_run(settings, name, tasks))
        # What follows from data that is made anew has been named above, or is refused by the run.
        for line in differences({key: before.get(key) for key in now}, now):
            yield f"run '{name}': {line}"


def _of_evaluations(
    settings: Settings, benchmark: Benchmark, tasks: Sequence[str]
) -> Iterator[str]:
    for name in settings.evaluation_names:
        changed: dict[str, list[str]] = {}
        for task in tasks:
            for line in protection.changes(settings, benchmark, name, task):
                changed.setdefault(line, []).append(task)
        for line, where in changed.items():
            others = f" and {len(where) - 1} more tasks" if len(where) > 1 else ""
            yield f"evaluation '{name}': {line} ({where[0]}{others})"
