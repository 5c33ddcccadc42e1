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
from hearth.launch.names import experiment_key, job_name, rule_comment
from hearth.launch.played import Played, expected_seconds, look
from hearth.launch.queue import Queue, QueuedJob

_QUEUE_SECONDS = 5.0
_RATE_LINES = 20  # of the log: the pace of a training is that of its last lines
_UNKNOWN = -1


@dataclass(frozen=True)
class Line:
    """A stage of the data, a task that it works on, a training run, an evaluation, or its task.

    Attributes:
        stage: "demonstrations", "prepare", "statistics", "tokenizer", "train" or "evaluate".
        name: the task, the run, the evaluation, or evaluation and task.
        done, due: tasks, steps or episodes; -1 where nobody knows.
        crashed: episodes whose every attempt failed; they are played again. -1 for a stage of the
            data: Snakemake alone knows.
        running, queued: jobs; -1 where Snakemake alone knows, because there is no Slurm.
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
        return _UNKNOWN if self.due < 0 else self.due - self.done - max(0, self.crashed)


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
    lines = _data(settings, tasks, jobs, now) if settings.run_names else []
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


def _queue(settings: Settings) -> tuple[list[QueuedJob] | None, str]:
    """The user's jobs, None without a word from Slurm, and what was wrong with it if anything."""
    if shutil.which("squeue") is None:
        return None, ""
    try:
        return Queue(Results.of(settings).queue, _QUEUE_SECONDS).jobs(), ""
    except LaunchError as error:
        return None, str(error)


def _jobs(settings: Settings, jobs: Sequence[QueuedJob] | None, *names: str) -> tuple[int, int]:
    """Running and queued jobs of one unit, Slurm's and this machine's."""
    local = Local(Results.of(settings).jobs(*names), settings.launcher.train).active()
    name = job_name(settings, *names)
    mine = [job for job in [*(jobs or []), *local] if job.name in (name, "-".join(names))]
    return _counted(mine)


def _counted(jobs: Sequence[QueuedJob]) -> tuple[int, int]:
    """How many run and how many wait."""
    states = Counter(job.state for job in jobs)
    queued = states.pop("PENDING", 0)
    return states.total(), queued


def _data(
    settings: Settings, tasks: Sequence[str], jobs: Sequence[QueuedJob] | None, now: datetime
) -> list[Line]:
    """The stages before training, by the markers that they leave and the jobs of their rules."""
    rules = _data_rules(settings, tasks)
    stages = {
        "demonstrations": ["demonstrations"],
        "prepare": ["prepare"],
        "statistics": ["task_statistics", "statistics", "run_statistics"],
        "tokenizer": ["tokenizer", "run_tokenizer"],
    }
    mine = None
    if jobs is not None:
        mine = [job for job in jobs if job.key == experiment_key(settings)]
    lines = []
    for stage, names in stages.items():
        parts = [
            (" ".join(wildcards), marker, rule_comment(rule, *wildcards))
            for rule in names
            for wildcards, marker in rules[rule].items()
        ]
        if parts:
            lines += _stage(stage, parts, mine, now)
    return lines


def _data_rules(settings: Settings, tasks: Sequence[str]) -> dict[str, dict[tuple[str, ...], Path]]:
    """Of each rule of the data: the wildcards of its jobs, and the marker that each leaves."""
    results = Results.of(settings)
    rules: dict[str, dict[tuple[str, ...], Path]] = {
        "demonstrations": {(task,): results.demonstrations(task) for task in tasks},
        "prepare": {(task,): results.prepared(task) for task in tasks},
        "task_statistics": {(task,): results.task_statistics(task) for task in tasks},
        "statistics": {(): results.statistics},
        "run_statistics": {},
        "tokenizer": {},
        "run_tokenizer": {},
    }
    if settings.demonstrations is None:
        rules["demonstrations"] = {}
    for run in settings.run_names:
        read, owner = Results.of_run(settings, run), (settings.first_run(run),)
        if read != results:
            rules["run_statistics"][owner] = read.statistics
        if settings.for_run(run).uses_tokenizer:
            if read != results:
                rules["run_tokenizer"][owner] = read.tokenizer
            else:
                rules["tokenizer"][()] = read.tokenizer
    return rules


def _stage(
    stage: str,
    parts: Sequence[tuple[str, Path, str]],
    jobs: Sequence[QueuedJob] | None,
    now: datetime,
) -> list[Line]:
    """A line of the whole, and one of each task that a job works on or waits to.

    Args:
        stage: its name.
        parts: the task or "", the marker, and the comment of the job of each part.
        jobs: of the experiment; None without Slurm.
        now: the time.
    """
    done = [marker for _, marker, _ in parts if marker.exists()]
    note = "finished" * (len(done) == len(parts))
    if jobs is None:
        unknown = (_UNKNOWN, _UNKNOWN, _UNKNOWN)
        return [Line(stage, "", len(done), len(parts), *unknown, note=note)]
    lines = []
    for name, marker, comment in parts:
        running, queued = _counted([job for job in jobs if job.comment == comment])
        if running or queued:
            lines.append(Line(stage, name, int(marker in done), 1, _UNKNOWN, running, queued))
    running, queued = sum(line.running for line in lines), sum(line.queued for line in lines)
    finish = _last_marker(done, len(parts) - len(done), running, now)
    whole = Line(stage, "", len(done), len(parts), _UNKNOWN, running, queued, finish, note)
    return [whole, *(line for line in lines if line.name)]


def _last_marker(done: Sequence[Path], left: int, running: int, now: datetime) -> datetime | None:
    """When the last marker will be there, at the pace of those that are.

    None unless more are there than jobs run: before, some may be the first of all jobs, which
    began together and so end together.
    """
    if not left or not running or len(done) <= max(running, 1):
        return None
    times = sorted(marker.stat().st_mtime for marker in done)
    pace = (times[-1] - times[0]) / (len(times) - 1)
    return max(now, datetime.fromtimestamp(times[-1] + left * pace))


def _training(
    settings: Settings, run: str, jobs: Sequence[QueuedJob] | None, now: datetime
) -> Line:
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
    jobs: Sequence[QueuedJob] | None,
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
