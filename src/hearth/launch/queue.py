"""The cluster's queue, asked once for all launchers of an experiment."""

from __future__ import annotations

import fcntl
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hearth.core.errors import DataError, LaunchError
from hearth.core.files import read_json, write_json

_COMMAND_SECONDS = 60.0
_FIELDS = "%i|%T|%j|%r|%w|%k"
# Reasons of waiting jobs that no time will mend.
_HOPELESS = {
    "launch_failed_requeued_held",
    "JobHoldMaxRequeue",
    "DependencyNeverSatisfied",
    "BadConstraints",
    "PartitionTimeLimit",
    "PartitionNodeLimit",
    "InvalidAccount",
    "InvalidQOS",
}


@dataclass(frozen=True)
class QueuedJob:
    """A job that has not ended.

    Attributes:
        id: as ``62`` or, of an array, ``62_0``.
        state: Slurm's word, e.g. PENDING, RUNNING, COMPLETING.
        name: the job's name.
        reason: why it waits, in Slurm's words.
        key: of the experiment (`hearth.launch.names.experiment_key`), or what else the job's
            WCKey says.
        comment: of a job of Snakemake's executor, its rule and wildcards.
    """

    id: str
    state: str
    name: str
    reason: str = ""
    key: str = ""
    comment: str = ""

    @property
    def hopeless(self) -> bool:
        """Whether it waits for what will never come."""
        return self.state == "PENDING" and self.reason.replace(" ", "_") in _HOPELESS


def command(arguments: Sequence[str]) -> str:
    """Run a command of Slurm and return its output.

    Raises:
        LaunchError: it is not installed, fails or does not answer.
    """
    try:
        done = subprocess.run(
            list(arguments), capture_output=True, text=True, timeout=_COMMAND_SECONDS, check=False
        )
    except FileNotFoundError as error:
        raise LaunchError(
            f"no command '{arguments[0]}' on this machine: launcher.executor slurm needs Slurm's "
            "commands; the other choices are local and none"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise LaunchError(f"{arguments[0]} gave no answer in {_COMMAND_SECONDS:g} s") from error
    if done.returncode:
        raise LaunchError(f"{' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def parse_queue(text: str) -> list[QueuedJob]:
    """The jobs in the output of squeue in our format."""
    return [
        QueuedJob(*(part.strip() for part in line.split("|", 5)))
        for line in text.splitlines()
        if line.count("|") >= 3
    ]


def squeue() -> list[QueuedJob]:
    """All jobs of the user that have not ended, asked for now.

    Raises:
        LaunchError: the cluster does not answer.
    """
    return parse_queue(command(["squeue", "--me", "-r", "-h", "-o", _FIELDS]))


class Queue:
    """The user's jobs in the cluster, from a file that all launchers share.

    Args:
        path: the file.
        seconds: how old its answer may be.
    """

    def __init__(self, path: Path, seconds: float) -> None:
        self.path, self.seconds = path, seconds

    def jobs(self, newer_than: float = 0.0) -> list[QueuedJob]:
        """All jobs of the user that have not ended.

        Args:
            newer_than: Unix time [seconds]; an answer from before it will not do.

        Raises:
            LaunchError: the cluster does not answer.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_suffix(".lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            oldest = max(newer_than, time.time() - self.seconds)
            cached = self._cached()
            if cached is not None and oldest < cached["asked"] <= time.time():
                return [QueuedJob(**job) for job in cached["jobs"]]
            asked = time.time()
            jobs = squeue()
            write_json(self.path, {"asked": asked, "jobs": [asdict(job) for job in jobs]})
        return jobs

    def _cached(self) -> dict[str, Any] | None:
        try:
            cached = read_json(self.path)
        except DataError:
            return None
        return cached if isinstance(cached, dict) and {"asked", "jobs"} <= set(cached) else None


def accounting(ids: Sequence[str]) -> str:
    """How these jobs ended in the words of Slurm's accounting, "" where it does not say."""
    try:
        text = command(
            ["sacct", "-X", "-n", "-P", "-o", "JobID,State,ExitCode,NodeList", "-j", ",".join(ids)]
        )
    except LaunchError as error:
        return f"the accounting does not answer: {error}"
    return "; ".join(line.replace("|", " ") for line in text.splitlines())
