"""Evaluate one task: keep what is finished, play the rest."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import threading
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any

from hearth.benchmark import Benchmark, experiment_benchmark
from hearth.core.errors import EvaluationError
from hearth.core.progress import progress
from hearth.core.results import Results
from hearth.core.seeds import policy_seed
from hearth.core.settings import Settings
from hearth.evaluation import identity, protection
from hearth.evaluation.backends import Backends
from hearth.evaluation.environments import factory_name
from hearth.evaluation.official_evaluator import facts
from hearth.evaluation.official_evaluator.scheduler import EvaluatorScheduler
from hearth.evaluation.pending import PendingEpisodes
from hearth.evaluation.scheduler import Scheduler
from hearth.evaluation.servers import SharedServerFile

_MOST_CLIENTS = 960  # of a shared server; many systems allow a process 1,024 open files


def evaluate_task(
    settings: Settings,
    evaluation: str,
    task: str,
    backends: Backends | None = None,
    *,
    episodes: Collection[identity.Key] | None = None,
    part: str = "",
    shared_server: SharedServerFile | None = None,
) -> dict[str, int]:
    """Play every due episode of one task that has no finished result yet.

    Results of the same policy and configuration are kept; crashed ones are played again.

    Args:
        settings: the experiment.
        evaluation: a name among its evaluations.
        task: a task of its benchmark.
        backends: other processes than the benchmark's own.
        episodes: of the due episodes only these; None: all.
        part: begins the names of the logs, where several processes share the task.
        shared_server: another job's, to play with instead of one of its own.

    Returns:
        Counts: `due`, `kept` (finished before), and of those played now `finished`, `crashed`.

    Raises:
        SettingsError: unknown evaluation or task.
        EvaluationError: no finished bundle, server or simulator cannot be started, no shared
            server came, or `protect` keeps episodes that were played with other settings.
    """
    benchmark = experiment_benchmark(settings)
    benchmark.task(task)
    protection.remember(settings, benchmark, evaluation, task)
    backends = backends or default_backends(settings, benchmark, evaluation, task)
    backends = replace(backends, shared=shared_server)
    hashes = identity.hashes(settings, benchmark, evaluation, task)
    due = identity.due_episodes(settings, benchmark, evaluation)
    missing = identity.missing_episodes(settings, benchmark, evaluation, task)
    if episodes is not None:
        due = [key for key in due if key in episodes]
        missing = [key for key in missing if key in episodes]
    counts = {"due": len(due), "kept": len(due) - len(missing), "finished": 0, "crashed": 0}
    if missing:
        with _terminable(), progress(f"{evaluation}: {task}", len(missing)) as advance:
            pending = PendingEpisodes(settings, benchmark, evaluation, task, hashes, advance)
            pending.open(missing)
            try:
                _player(pending, backends, part).play()
            finally:
                pending.close()
            counts.update(pending.counts)
            counts["kept"] += pending.elsewhere
    return counts


def _player(
    pending: PendingEpisodes, backends: Backends, part: str
) -> Scheduler | EvaluatorScheduler:
    """The processes that play: our workers, or the official evaluator of a challenge."""
    if backends.environment is not None:
        return Scheduler(pending, backends, part)
    if backends.server is None:
        raise EvaluationError(
            f"evaluation '{pending.evaluation}': the scripted expert plays only in the embedded "
            f"simulator, not in '{pending.benchmark.simulator}'; choose a run as its policy"
        )
    return EvaluatorScheduler(pending, backends.server, part, backends.shared)


def default_backends(
    settings: Settings, benchmark: Benchmark, evaluation: str, task: str
) -> Backends:
    """The simulator or official evaluator, and a server of the bundle unless the expert plays."""
    environment = None if facts.exist(benchmark) else factory_name(benchmark)
    run = identity.played_by(settings, evaluation, task)
    if run == identity.EXPERT:
        return Backends(environment, None)
    seed = policy_seed(settings.seed, benchmark.task(task).index)
    # One size of batches: an episode must not depend on who else plays at its time.
    command = _server_command(settings, evaluation, run, {"batch_sizes": [1]})
    return Backends(environment, (*command, "--task", task, "--seed", str(seed)))


def shared_server_command(
    settings: Settings, evaluation: str, run: str, batch_size: int
) -> tuple[str, ...]:
    """The command of a server for all tasks that `run` plays in evaluations with this runtime.

    Each task's noise is that of a server of its own (`default_backends`).
    """
    serving = {"batch_sizes": [batch_size], "connections": _MOST_CLIENTS}
    command = _server_command(settings, evaluation, run, serving)
    return (*command, "--seed", str(settings.seed), "--seed-by-task")


def _server_command(
    settings: Settings, evaluation: str, run: str, serving: dict[str, Any]
) -> tuple[str, ...]:
    runtime = json.dumps(settings.runtime_for(evaluation).model_dump(mode="json"))
    return (
        sys.executable, "-m", "hearth.serving", "--policy", str(Results.of(settings).bundle(run)),
        "--runtime", runtime, "--serving", json.dumps(serving),
    )  # fmt: skip


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Turn SIGTERM into an exception, so that children are ended on the way out."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, frame: Any) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
