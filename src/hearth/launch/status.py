"""How far an experiment is: from its files and one look at the queue."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from hearth.benchmark import Benchmark
from hearth.core.errors import EvaluationError, LaunchError
from hearth.core.finetuning import VALIDATION
from hearth.core.results import Results
from hearth.core.settings import Settings
from hearth.evaluation import identity
from hearth.launch.local import Local
from hearth.launch.queue import Queue, QueuedJob
from hearth.launch.units import job_name

_QUEUE_SECONDS = 5.0


@dataclass(frozen=True)
class Line:
    """One training run or one evaluated task.

    Attributes:
        stage: "train" or "evaluate".
        name: the run, or evaluation and task.
        done, due: steps or episodes; -1 where nobody knows.
        crashed: episodes whose every attempt failed; they are played again.
        running, waiting: jobs.
        note: what is in the way, or how long it will take.
    """

    stage: str
    name: str
    done: int
    due: int
    crashed: int = 0
    running: int = 0
    waiting: int = 0
    note: str = ""


def status(settings: Settings, benchmark: Benchmark, tasks: Sequence[str]) -> list[Line]:
    """A line per run and per evaluated task, in the order of the settings."""
    jobs, trouble = _queue(settings)
    lines = [_training(settings, run, jobs) for run in settings.run_names]
    groups = settings.finetuning and settings.finetuning.validation
    for evaluation in [*([VALIDATION] if groups else []), *settings.evaluation_names]:
        lines += [_evaluation(settings, benchmark, evaluation, task, jobs) for task in tasks]
    return [*lines, Line("queue", "", -1, -1, note=trouble)] if trouble else lines


def _queue(settings: Settings) -> tuple[list[QueuedJob], str]:
    """The user's jobs, and what was wrong if the cluster does not answer."""
    if shutil.which("squeue") is None:
        return [], ""
    try:
        return Queue(Results.of(settings).queue, _QUEUE_SECONDS).jobs(), ""
    except LaunchError as error:
        return [], str(error)


def _jobs(settings: Settings, jobs: Sequence[QueuedJob], *names: str) -> dict[str, int]:
    """Running and waiting jobs of one unit, Slurm's and this machine's."""
    local = Local(Results.of(settings).jobs(*names), settings.launcher.train).active()
    name = job_name(settings, *names)
    states = Counter(job.state for job in [*jobs, *local] if job.name in (name, "-".join(names)))
    waiting = states.pop("PENDING", 0)
    return {"running": states.total(), "waiting": waiting}


def _training(settings: Settings, run: str, jobs: Sequence[QueuedJob]) -> Line:
    results, due = Results.of(settings), settings.run(run).steps
    counts = _jobs(settings, jobs, "train", run)
    if results.trained(run).exists():
        return Line("train", run, due, due, note="finished", **counts)
    folder = results.checkpoints(run)
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    newest = max((int(name) for name in names if name.isdigit()), default=0)
    return Line("train", run, newest, due, note="at its newest checkpoint" * bool(names), **counts)


def _evaluation(
    settings: Settings,
    benchmark: Benchmark,
    evaluation: str,
    task: str,
    jobs: Sequence[QueuedJob],
) -> Line:
    name, results = f"{evaluation} {task}", Results.of(settings)
    due = identity.due_episodes(settings, benchmark, evaluation)
    counts = _jobs(settings, jobs, "evaluate", evaluation, task)
    try:
        hashes = identity.hashes(settings, benchmark, evaluation, task)
    except EvaluationError:
        return Line("evaluate", name, 0, len(due), note="waits for its policy", **counts)
    paths = [results.episode(evaluation, task, *key) for key in due]
    finished = [path for path in paths if identity.is_finished(path, hashes)]
    found = [identity.read_result(path, hashes)[0] for path in paths]
    crashed = sum(result is not None and result["status"] == "crashed" for result in found)
    if len(finished) == len(due):
        merged = results.task_result(evaluation, task).exists()
        note = "finished" if merged else "to be merged"
    else:
        playing = counts["running"] * settings.evaluation(evaluation).workers
        times = [_seconds(result) for result in found if result is not None]
        note = _finish(times, len(due) - len(finished), playing)
    return Line("evaluate", name, len(finished), len(due), crashed, note=note, **counts)


def _seconds(result: dict) -> float | None:
    """How long an episode took [s]."""
    try:
        start, end = (result["provenance"][key] for key in ("start_time", "end_time"))
        return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
    except (KeyError, TypeError, ValueError):
        return None


def _finish(times: Sequence[float | None], missing: int, playing: int) -> str:
    """When it will be done at the pace of the finished episodes."""
    known = [seconds for seconds in times if seconds is not None]
    if not known or not playing:
        return ""
    left = timedelta(seconds=sum(known) / len(known) * missing / min(playing, missing))
    return f"done at about {datetime.now() + left:%a %H:%M}"
