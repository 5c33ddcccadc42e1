"""What an experiment's jobs used of what they asked for: one query of Slurm's accounting."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from hearth.core.settings import Settings
from hearth.launch.names import experiment_key, key_of
from hearth.launch.queue import command

_FIELDS = "JobID,JobName,State,ElapsedRaw,TimelimitRaw,AllocCPUS,TotalCPU,NNodes,AllocTRES,MaxRSS"
_LAST = "SubmitLine"  # may hold anything
_UNITS = {unit: 1024.0**power for power, unit in enumerate(("", "K", "M", "G", "T"))}


@dataclass
class RanJob:
    """One run of a job; a requeued job has several.

    Attributes:
        rule: of the workflow; "serve" for a shared policy server.
        state: Slurm's word, e.g. COMPLETED.
        seconds: it ran.
        limit_seconds: the time limit; None without one.
        cpus: it held, of all nodes.
        cpu_seconds: processor time of all its processes.
        memory: it asked for on a node [bytes]; None where nothing says so.
        most_memory: the largest resident size of a task of any step [bytes]; None where the
            site's Slurm does not measure (JobAcctGatherType) or the job still runs.
    """

    rule: str
    state: str
    seconds: float
    limit_seconds: float | None
    cpus: int
    cpu_seconds: float
    memory: float | None = None
    most_memory: float | None = None


@dataclass
class Usage:
    """The jobs of one rule together.

    Attributes:
        rule: its name.
        jobs: all of them, the last one last.
    """

    rule: str
    jobs: list[RanJob] = field(default_factory=list)

    @property
    def states(self) -> dict[str, int]:
        """How many ended how."""
        return dict(Counter(job.state for job in self.jobs))

    @property
    def memory(self) -> float | None:
        """What the last job that says so asked for [bytes a node]."""
        return next((job.memory for job in reversed(self.jobs) if job.memory), None)

    @property
    def most_memory(self) -> float | None:
        """The most that a task of any job used [bytes]."""
        return max((job.most_memory for job in self.jobs if job.most_memory), default=None)

    @property
    def longest(self) -> RanJob:
        """The job that ran longest."""
        return max(self.jobs, key=lambda job: job.seconds)

    @property
    def cores(self) -> float | None:
        """How many CPUs were busy on average while the jobs ran."""
        seconds = sum(job.seconds for job in self.jobs)
        return sum(job.cpu_seconds for job in self.jobs) / seconds if seconds else None


def usage(settings: Settings, since: str) -> list[Usage]:
    """A line per rule whose jobs began since then, in the order of their first jobs.

    Args:
        settings: the experiment.
        since: a time as sacct reads it, e.g. "now-7days" or "2026-01-31".

    Raises:
        LaunchError: the accounting does not answer.
    """
    key = experiment_key(settings)
    text = command(
        ["sacct", "-n", "-P", "-D", "-S", since, "-W", key, "-o", f"{_FIELDS},{_LAST}"]
    )  # fmt: skip
    found: dict[str, Usage] = {}
    for job in parse_jobs(text):
        found.setdefault(job.rule, Usage(job.rule)).jobs.append(job)
    return list(found.values())


def parse_jobs(text: str) -> list[RanJob]:
    """From sacct's lines of jobs, each followed by those of its steps."""
    jobs: dict[str, RanJob] = {}
    ended: list[RanJob] = []
    names = _FIELDS.split(",")
    for line in text.splitlines():
        parts = line.split("|", len(names))
        if len(parts) <= len(names):
            continue  # a submitted command of several lines
        values = dict(zip([*names, _LAST], parts, strict=True))
        id, _, step = values["JobID"].partition(".")
        if step:
            job, most = jobs.get(id), _bytes(values["MaxRSS"])
            if job is not None and most:
                job.most_memory = max(job.most_memory or 0.0, most)
        elif (rule := _rule(values["JobName"], values[_LAST])) is not None:
            jobs[id] = _job(rule, values)
            ended.append(jobs[id])
    return ended


def _job(rule: str, values: dict[str, str]) -> RanJob:
    limit, nodes = values["TimelimitRaw"], int(values["NNodes"] or 1)
    memory = re.search(r"(?:^|,)mem=([^,]+)", values["AllocTRES"])
    asked = _bytes(memory[1]) if memory else None
    return RanJob(
        rule,
        values["State"].split(" ")[0],  # "CANCELLED by 1000"
        float(values["ElapsedRaw"] or 0),
        60.0 * int(limit) if limit.isdigit() else None,
        int(values["AllocCPUS"] or 0),
        _seconds(values["TotalCPU"]),
        asked / max(nodes, 1) if asked else None,
    )


def _rule(name: str, submitted: str) -> str | None:
    """The rule that a job belongs to, by its name or by the comment that it was submitted with."""
    comment = re.search(r"--comment[ =]'?rule_(\w+)", submitted)
    if comment:
        return comment[1].partition("_wildcards_")[0]
    own = name.removeprefix(key_of(name) + "-")
    return own.split("-")[0] if name.startswith("hearth-") else None


def _bytes(text: str) -> float | None:
    """From "1536K" or "2.50G"; None of nothing."""
    match = re.fullmatch(r"([\d.]+)([KMGT]?)", text)
    return float(match[1]) * _UNITS[match[2]] if match else None


def _seconds(text: str) -> float:
    """From "[days-[hours:]]minutes:seconds"."""
    days, _, rest = text.rpartition("-")
    total = 0.0
    for part in rest.split(":") if rest else ():
        total = 60 * total + float(part)
    return total + 86400 * int(days or 0)


def lines(found: Sequence[Usage]) -> list[tuple[str, ...]]:
    """What a table shows: rule, jobs, ends, memory, CPUs and time, each asked and used."""
    return [
        (
            item.rule,
            str(len(item.jobs)),
            ", ".join(f"{count} {state.lower()}" for state, count in item.states.items()),
            _megabytes(item.memory),
            _megabytes(item.most_memory),
            str(item.longest.cpus),
            "" if item.cores is None else f"{item.cores:.1f}",
            _duration(item.longest.limit_seconds),
            _duration(item.longest.seconds),
        )
        for item in found
    ]  # fmt: skip


def _megabytes(size: float | None) -> str:
    """As `mem_mb` counts them."""
    return "" if size is None else f"{size / _UNITS['M']:.0f}"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
