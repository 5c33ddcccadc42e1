"""Where jobs run: Slurm, here, or processes of this machine (`local`). Both through submitit.

An executor belongs to one unit of work: its jobs have one name and one folder, which holds their
pickled work, their logs and, where they ended by themselves, their result.
"""

from __future__ import annotations

import json
import os
import pickle
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

from hearth.core.errors import LaunchError
from hearth.core.launching import JobResources
from hearth.launch.names import key_of
from hearth.launch.queue import Queue, QueuedJob, accounting, command

Work = Callable[[], Any]
SIGNAL_SECONDS = 90  # ahead of the time limit: enough to write a large checkpoint
# Processes of one job end together. One that hangs would hold the nodes until the time limit.
TOGETHER_SECONDS = 30


class Executor(Protocol):
    """What the launcher needs of a place where jobs run."""

    def submit(self, works: Sequence[Work], nice: int) -> list[str]:
        """Start one job for each of `works`; their ids. `nice` lets others of the user go first."""
        ...

    def active(self, newer_than: float = 0.0) -> list[QueuedJob]:
        """The jobs of this unit that have not ended, whoever submitted them.

        Args:
            newer_than: Unix time [seconds]; an answer from before it will not do.
        """
        ...

    def cancel(self, ids: Sequence[str]) -> None:
        """End jobs."""
        ...

    def explain(self, ids: Sequence[str]) -> str:
        """How jobs ended, in the words of the cluster."""
        ...


def sbatch_parameters(name: str, resources: JobResources, nice: int = 0) -> dict[str, Any]:
    """What submitit writes into the batch script.

    Args:
        name: the job's name.
        resources: what the job asks for.
        nice: lowers the priority against other jobs of the same user.
    """
    extra: dict[str, Any] = {"nice": nice} if nice else {}
    extra["requeue" if resources.requeue else "no-requeue"] = True
    extra.update(options_of(resources.extra))
    parameters: dict[str, Any] = {
        "job_name": name,
        "time": resources.minutes,
        "nodes": resources.nodes,
        "ntasks_per_node": 1,
        "cpus_per_task": resources.cpus,
        "mem": f"{resources.memory_megabytes}MB",
        # A job shorter than the notice would be told to leave when it starts.
        "signal_delay_s": min(SIGNAL_SECONDS, resources.minutes * 60 // 4),
        "stderr_to_stdout": True,
        "wckey": key_of(name),
        # Since 22.05 srun does not take the number from sbatch; a requeued job adds to its log.
        "srun_args": [f"--cpus-per-task={resources.cpus}", "--open-mode=append"],
        "additional_parameters": extra,
    }
    if resources.nodes > 1:
        parameters["srun_args"].append(f"--wait={TOGETHER_SECONDS}")
    for key in ("partition", "account", "qos", "constraint", "gres"):
        if getattr(resources, key) is not None:
            parameters[key] = getattr(resources, key)
    if resources.gpus:
        model = f"{resources.gpu_model}:" if resources.gpu_model else ""
        parameters["gpus_per_node"] = f"{model}{resources.gpus}"
    return parameters


def options_of(text: str) -> dict[str, Any]:
    """Options as on sbatch's command line: "--mail-type=END --exclusive".

    Raises:
        LaunchError: something else than options, each in one word.
    """
    options: dict[str, Any] = {}
    for word in shlex.split(text):
        match = re.fullmatch(r"--([a-z][a-z0-9-]*)(?:=(.*))?", word)
        if match is None:
            raise LaunchError(
                f"extra option {word!r} of sbatch: write --name=value or --name, all in one word"
            )
        options[match[1]] = True if match[2] is None else match[2]
    return options


class Slurm:
    """Jobs of Slurm; several of one submission are one job array."""

    def __init__(self, name: str, folder: Path, resources: JobResources, queue: Queue) -> None:
        self.name, self.folder, self.resources, self.queue = name, folder, resources, queue
        self._submitted = 0.0

    def submit(self, works: Sequence[Work], nice: int) -> list[str]:
        """Submit one array. Raises LaunchError with sbatch's words if it is refused."""
        parameters = sbatch_parameters(self.name, self.resources, nice)
        try:
            return _submit_array(self.folder, parameters, works)
        except LaunchError as error:
            raise LaunchError(
                f"the cluster refused the jobs '{self.name}': {error}\n"
                f"They ask for {self.resources.model_dump(exclude_defaults=True)}; the profile's "
                "entry set-resources of this rule says so"
            ) from error
        finally:
            self._submitted = time.time()

    def active(self, newer_than: float = 0.0) -> list[QueuedJob]:
        """By name, from an answer that is younger than the last submission."""
        jobs = self.queue.jobs(max(self._submitted, newer_than))
        return [job for job in jobs if job.name == self.name]

    def cancel(self, ids: Sequence[str]) -> None:
        """Cancel; Slurm ends running jobs with SIGTERM first."""
        if not ids:
            return
        try:
            command(["scancel", *ids])
        except LaunchError as error:
            # They may have ended since we looked.
            if "Invalid job id" not in str(error):
                raise
        self._submitted = time.time()

    def explain(self, ids: Sequence[str]) -> str:
        """From the accounting."""
        return accounting(ids)


def _submit_array(folder: Path, parameters: dict[str, Any], works: Sequence[Work]) -> list[str]:
    """Submit in a process of its own: submitit need not stay in the memory of a waiting launcher.

    Ctrl-C does not reach that process, and it is waited for: what it submits can be cancelled.

    Raises:
        LaunchError: the jobs are refused.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "hearth.launch.submission", str(os.getpid())],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        output, _ = process.communicate(pickle.dumps((folder, parameters, works)))
    finally:
        process.wait()
    if process.returncode:
        raise LaunchError(f"the process that submits ended with code {process.returncode}")
    answer = json.loads(output)
    if "error" in answer:
        raise LaunchError(answer["error"])
    return answer["ids"]


class _RecordReader(pickle.Unpickler):
    """Reads submitit's records without submitit."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("submitit.core.utils", "DelayedSubmission"):
            return SimpleNamespace
        return super().find_class(module, name)


def work_of(folder: Path, id: str) -> Any:
    """What job `id` does; None if nobody recorded it, so that it cannot run either."""
    try:
        with (folder / f"{id}_submitted.pkl").open("rb") as handle:
            return _RecordReader(handle).load().function
    except (OSError, pickle.UnpicklingError, EOFError, AttributeError, ImportError):
        return None


def outcome_of(folder: Path, id: str) -> tuple[str, Any] | None:
    """("success", returned) or ("error", traceback) of a job that ended by itself."""
    try:
        return pickle.loads((folder / f"{id}_0_result.pkl").read_bytes())
    except (OSError, pickle.UnpicklingError, EOFError, AttributeError, ImportError):
        return None


def log_of(folder: Path, id: str) -> Path:
    """The log of a job."""
    return folder / f"{id}_0_log.out"


def clean(folder: Path, kept: Sequence[str] = ()) -> None:
    """Remove records that no job needs any more; logs and batch scripts stay to be read."""
    for path in folder.iterdir() if folder.is_dir() else ():
        record = path.name.endswith((".pkl", ".tmp")) or path.name.startswith(".submission_file")
        if record and not path.name.startswith(tuple(f"{id}_" for id in kept)):
            path.unlink(missing_ok=True)
