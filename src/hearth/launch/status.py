"""How far an experiment is: from its files and one look at the queue."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from hearth.benchmark import Benchmark
from hearth.core.errors import LaunchError
from hearth.core.finetuning import VALIDATION
from hearth.core.results import Results
from hearth.core.settings import Settings
from hearth.launch.local import Local
from hearth.launch.played import Played, expected_seconds, look
from hearth.launch.queue import Queue, QueuedJob
from hearth.launch.units import job_name

_QUEUE_SECONDS = 5.0
_RATE_LINES = 20  # of the log: the pace of a training is that of its last lines
_UNKNOWN = -1


@dataclass(frozen=True)
class Line:
    """A stage of the data, one training run, one evaluation, or one evaluated task.

    Attributes:
        stage: "demonstrations", "prepare", "statistics", "tokenizer", "train" or "evaluate".
        name: the run, the evaluation, or evaluation and task.
        done, due: tasks, steps or episodes; -1 where nobody knows.
        crashed: episodes whose every attempt failed; they are played again.
        running, queued: jobs; -1 where Snakemake alone knows.
        finish: when it will be done at the pace seen and with the jobs that run now.
        note: what is in the way, or that it is done.
    """

    stage: str
    name: str
    done: int
    due: int
    crashed: int = 0
    running: int = 0
    queued: int = 0
    finish: datetime | None = None
    note: str = ""

    @property
    def missing(self) -> int:
        """What has no result of any kind; -1 where nobody knows."""
        return _UNKNOWN if self.due < 0 else self.due - self.done - self.crashed


def status(
    settings: Settings, benchmark: Benchmark, tasks: Sequence[str], now: datetime | None = None
) -> list[Line]:
    """A line per stage of the data, run, evaluation and evaluated task, in the order of the work.

    Args:
        settings: the experiment.
        benchmark: its benchmark.
        tasks: those to show.
        now: the time; None: the present.
    """
    now = now or datetime.now()
    jobs, trouble = _queue(settings)
    lines = _data(settings, tasks) if settings.run_names else []
    lines += [_training(settings, run, jobs, now) for run in settings.run_names]
    groups = settings.finetuning and settings.finetuning.validation
    for evaluation in [*([VALIDATION] if groups else []), *settings.evaluation_names]:
        lines += _evaluation(settings, benchmark, evaluation, tasks, jobs, now)
    if not trouble:
        return lines
    said = trouble.splitlines()[0]
    return [
        *lines, Line("queue", "", _UNKNOWN, _UNKNOWN, _UNKNOWN, _UNKNOWN, _UNKNOWN, note=said)
    ]  # fmt: skip


def _queue(settings: Settings) -> tuple[list[QueuedJob], str]:
    """The user's jobs, and what was wrong if the cluster does not answer."""
    if shutil.which("squeue") is None:
        return [], ""
    try:
        return Queue(Results.of(settings).queue, _QUEUE_SECONDS).jobs(), ""
    except LaunchError as error:
        return [], str(error)


def _jobs(settings: Settings, jobs: Sequence[QueuedJob], *names: str) -> tuple[int, int]:
    """Running and queued jobs of one unit, Slurm's and this machine's."""
    local = Local(Results.of(settings).jobs(*names), settings.launcher.train).active()
    name = job_name(settings, *names)
    states = Counter(job.state for job in [*jobs, *local] if job.name in (name, "-".join(names)))
    queued = states.pop("PENDING", 0)
    return states.total(), queued


def _data(settings: Settings, tasks: Sequence[str]) -> list[Line]:
    """The stages before training, by the markers that they leave."""
    results = Results.of(settings)
    markers: dict[str, list[Path]] = {
        "demonstrations": [results.demonstrations(task) for task in tasks],
        "prepare": [results.prepared(task) for task in tasks],
        "statistics": [*map(results.task_statistics, tasks), results.statistics],
        "tokenizer": [],
    }
    if settings.demonstrations is None:
        del markers["demonstrations"]
    for run in settings.run_names:
        own = Results.of_run(settings, run)
        if own.statistics not in markers["statistics"]:
            markers["statistics"].append(own.statistics)
        if settings.for_run(run).uses_tokenizer and own.tokenizer not in markers["tokenizer"]:
            markers["tokenizer"].append(own.tokenizer)
    if not markers["tokenizer"]:
        del markers["tokenizer"]
    lines = []
    for stage, paths in markers.items():
        done = sum(path.exists() for path in paths)
        note = "finished" * (done == len(paths))
        lines.append(
            Line(stage, "", done, len(paths), running=_UNKNOWN, queued=_UNKNOWN, note=note)
        )
    return lines


def _training(settings: Settings, run: str, jobs: Sequence[QueuedJob], now: datetime) -> Line:
    results, due = Results.of(settings), settings.run(run).steps
    running, queued = _jobs(settings, jobs, "train", run)
    if results.trained(run).exists():
        return Line("train", run, due, due, running=running, queued=queued, note="finished")
    folder = results.checkpoints(run)
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    newest = max((int(name) for name in names if name.isdigit()), default=0)
    seconds = _seconds_left(results.run(run) / "metrics.jsonl", due) if running else None
    finish = None if seconds is None else now + timedelta(seconds=seconds)
    note = "at its newest checkpoint" * bool(names)
    return Line("train", run, newest, due, running=running, queued=queued, finish=finish, note=note)


def _seconds_left(log: Path, due: int) -> float | None:
    """To the last step, at the pace of the log's last lines; None where it has fewer than two."""
    try:
        lines = log.read_text().splitlines()[-_RATE_LINES:]
        records = [json.loads(line) for line in lines]
        first, last = ((record["step"], record["seconds"]) for record in (records[0], records[-1]))
        return (due - last[0]) * (last[1] - first[1]) / (last[0] - first[0])
    except (OSError, ValueError, KeyError, IndexError, ZeroDivisionError):
        return None


def _evaluation(
    settings: Settings,
    benchmark: Benchmark,
    evaluation: str,
    tasks: Sequence[str],
    jobs: Sequence[QueuedJob],
    now: datetime,
) -> list[Line]:
    """A line per task and, where there are several, one of the whole before them."""
    workers = settings.evaluation(evaluation).workers
    seen = [look(settings, benchmark, evaluation, task) for task in tasks]
    seconds = expected_seconds(seen, benchmark)
    lines = []
    for played in seen:
        running, queued = _jobs(settings, jobs, "evaluate", evaluation, played.task)
        finish = _finish([played], seconds, running * workers, now)
        lines.append(
            Line("evaluate", f"{evaluation} {played.task}", played.finished, played.due,
                 played.crashed, running, queued, finish, played.note)
        )  # fmt: skip
    if len(lines) == 1:
        return lines
    running = sum(line.running for line in lines)
    known = [line.finish for line in lines if line.finish is not None]
    finish = _finish(seen, seconds, running * workers, now)
    whole = Line(
        "evaluate", evaluation, sum(line.done for line in lines), sum(line.due for line in lines),
        sum(line.crashed for line in lines), running, sum(line.queued for line in lines),
        finish and max([finish, *known]), "finished" * all(p.note == "finished" for p in seen),
    )  # fmt: skip
    return [whole, *lines]


def _finish(
    seen: Sequence[Played], seconds: Mapping[str, float | None], players: int, now: datetime
) -> datetime | None:
    """When so many players will have played what is left; None where no pace was seen."""
    left, work = 0, 0.0
    for played in seen:
        missing = played.due - played.finished
        if not missing:
            continue
        length = seconds[played.task]
        if length is None:
            return None
        left, work = left + missing, work + missing * length
    if not left or not players:
        return None
    return now + timedelta(seconds=work / min(players, left))
