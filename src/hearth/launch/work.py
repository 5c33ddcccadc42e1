"""What runs inside a job. Pickled by the launcher: small values, and heavy imports inside."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hearth.core.errors import (
    EvaluationError,
    HearthError,
    LaunchError,
    ServingError,
    SimulationError,
    StorageError,
)
from hearth.launch.queue import command

if TYPE_CHECKING:
    from hearth.core.settings import Settings
    from hearth.evaluation.backends import Backends

Key = tuple[int, int]  # (instance id, rollout id)
# Another node may do better.
_PASSING = (EvaluationError, SimulationError, ServingError, StorageError)
_COMPILED = "JAX_COMPILATION_CACHE_DIR"
_REQUEUED_SECONDS = 120.0  # how long Slurm may take to end a job that it requeues


@dataclass(frozen=True)
class EvaluationShard:
    """Some episodes of one evaluated task, with a policy server of their own or a shared one.

    Attributes:
        config: the frozen settings.
        evaluation, task: whose episodes.
        episodes: (instance, rollout) of each.
        part: begins the names of its logs.
        hashes: of the policy and the configuration that the launcher saw.
        requeue: whether it may ask Slurm to run it again.
        policy_memory_percent: of the GPU's memory, the most that the policy server takes.
        backends: other processes than the benchmark's own; tests put stand-ins here.
        server: path of the shared server's record; None: the shard has one of its own.
        server_seconds: how long to wait for the shared server.
    """

    config: str
    evaluation: str
    task: str
    episodes: tuple[Key, ...]
    part: str
    hashes: dict[str, str] = field(default_factory=dict)
    requeue: bool = True
    policy_memory_percent: int | None = None
    backends: Backends | None = None
    server: str | None = None
    server_seconds: float = 0.0

    def __call__(self) -> dict[str, Any]:
        """Play the episodes that have no result yet."""
        # Simulator and policy share the GPU: neither may take all of its memory.
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        if self.policy_memory_percent is not None:
            os.environ["XLA_PYTHON_CLIENT_MEM_FRACTION"] = str(self.policy_memory_percent / 100)
        return in_job(self._play, self.requeue)

    def _play(self) -> None:
        from hearth.core.settings import load_settings
        from hearth.evaluation.run import evaluate_task
        from hearth.evaluation.servers import SharedServerFile

        settings = load_settings(Path(self.config))
        keep_compiled(settings)
        evaluate_task(
            settings, self.evaluation, self.task, self.backends,
            episodes=self.episodes, part=self.part,
            shared_server=SharedServerFile(self.server, self.server_seconds)
            if self.server is not None else None,
        )  # fmt: skip


@dataclass(frozen=True)
class TrainingJob:
    """One run of training, from its newest checkpoint to its end or its time limit."""

    config: str
    run: str
    key: str  # of the settings that training depends on
    requeue: bool = True

    def __call__(self) -> dict[str, Any]:
        """Train."""
        return in_job(self._train, self.requeue)

    def _train(self) -> None:
        from hearth.core.settings import load_settings

        settings = load_settings(Path(self.config))
        keep_compiled(settings)
        from hearth.training.loop import train

        train(settings, self.run)


def keep_compiled(settings: Settings) -> None:
    """Let the next job on this node find what this one compiles; before JAX is imported.

    The rule that started the launcher named the folder of its own host, whose processor may differ
    from this node's. A folder that the user chose stays.
    """
    from hearth.core.results import Results

    folder = Results.of(settings).compiled(socket.gethostname()).absolute()
    if Path(os.environ.get(_COMPILED, folder)).parent == folder.parent:
        os.environ[_COMPILED] = str(folder)


def in_job(work: Callable[[], Any], requeue: bool) -> dict[str, Any]:
    """Run `work`.

    Returns:
        Nothing, or of an error of ours its text as `error`, and `final` if another attempt would
        meet it again.
    """
    # Slurm's notice ahead of the time limit is to do what preemption does.
    signal.signal(signal.SIGUSR2, lambda number, frame: os.kill(os.getpid(), signal.SIGTERM))
    signal.signal(signal.SIGTERM, _leave)
    try:
        work()
    except HearthError as error:
        print(f"hearth: {error}", file=sys.stderr, flush=True)
        return {"error": str(error), "final": not isinstance(error, _PASSING)}
    except SystemExit:
        if requeue:
            _requeue()
        raise
    return {}


def _leave(number: int, frame: Any) -> None:
    # Asked twice (submitit passes signals on, too) it must not leave its cleaning half done.
    signal.signal(number, signal.SIG_IGN)
    raise SystemExit(128 + number)


def _requeue() -> None:
    """Ask Slurm to run this job again unless it already knows what becomes of it.

    A job that ends by itself when it is preempted counts as failed: it must be requeued from
    within and wait to be ended. Where that is refused, the launcher submits the next job.
    """
    job = os.environ.get("SLURM_JOB_ID")
    if job is None:
        return
    try:
        # Cancelled, preempted or requeued jobs are no longer RUNNING.
        if command(["squeue", "-h", "-j", job, "-o", "%T"]).strip() == "RUNNING":
            command(["scontrol", "requeue", job])
            time.sleep(_REQUEUED_SECONDS)
    except LaunchError as error:
        print(f"not requeued: {error}", file=sys.stderr, flush=True)
