"""Units of work: one evaluated task, or one training run. What is missing, and which jobs do it."""

from __future__ import annotations

import contextlib
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from hearth.benchmark import experiment_benchmark
from hearth.core.errors import EvaluationError, LaunchError
from hearth.core.files import hash_json
from hearth.core.groups import tasks_of_run
from hearth.core.launching import JobResources, LauncherSettings
from hearth.core.results import Results
from hearth.core.selection import select_tasks
from hearth.core.settings import Settings, freeze_settings
from hearth.evaluation import identity
from hearth.launch.names import job_name
from hearth.launch.plan import ToPlay, longest_shard, shard_counts
from hearth.launch.server_job import ServerJob, server_job
from hearth.launch.shards import split
from hearth.launch.work import EvaluationShard, TrainingJob

if TYPE_CHECKING:
    from hearth.evaluation.backends import Backends

_MOST_NICE = 100


class Unit(Protocol):
    """What the launcher needs to know of the work."""

    name: str  # the jobs' name in the queue, unique among the user's work
    title: str
    folder: Path

    def remaining(self) -> Sequence[Hashable]:
        """The pieces that are not done."""
        ...

    def covers(self, work: Any) -> set[Hashable]:
        """The pieces that a job with this work does; none if it was started for other settings."""
        ...

    def works(self, pieces: Sequence[Any], most: int) -> tuple[Sequence[Any], int]:
        """Work for at most `most` jobs that do these pieces, and by how much they may wait.

        The number is Slurm's `nice`, from 0 to 100.
        """
        ...

    def progress(self) -> object:
        """A value that changes when something was achieved."""
        ...

    def succeeded(self, work: Any) -> None:
        """A job came to its end without an error."""
        ...


def frozen(settings: Settings) -> str:
    """The settings file that jobs read: the launcher's own section does not concern them."""
    plain = settings.model_copy(update={"launcher": LauncherSettings()})
    return str(freeze_settings(plain).absolute())


class EvaluationUnit:
    """One task of an evaluation. Its pieces are episodes, (instance, rollout)."""

    def __init__(
        self, settings: Settings, evaluation: str, task: str, backends: Backends | None = None
    ) -> None:
        self.settings, self.evaluation, self.task = settings, evaluation, task
        self.backends = backends
        self.benchmark = experiment_benchmark(settings)
        self.hashes = identity.hashes(settings, self.benchmark, evaluation, task)
        self.name = job_name(settings, "evaluate", evaluation, task)
        self.title = f"{evaluation}: {task}"
        self.folder = Results.of(settings).jobs("evaluate", evaluation, task)
        self.config = frozen(settings)
        self.resources = settings.launcher.evaluate
        self.server = self._shared_server()
        self._crashed_before = self._crashed()

    def _shared_server(self) -> ServerJob | None:
        """The server that the shards share; None where each has its own or a script plays."""
        run = identity.played_by(self.settings, self.evaluation, self.task)
        if self.settings.launcher.server != "shared" or run == identity.EXPERT:
            return None
        command = None if self.backends is None else self.backends.server
        return server_job(self.settings, self.config, self.evaluation, run, self.hashes, command)

    def _minutes(self, task: str) -> float:
        """How long a shard takes for one episode at most, at the robot's own pace."""
        steps = self.benchmark.time_limit(task)
        workers = self.settings.evaluation(self.evaluation).workers
        return steps / self.benchmark.frames_per_second / 60 / workers

    def _to_play(self, pieces: int) -> dict[str, ToPlay]:
        """`pieces` of this task and what is missing of the experiment's others.

        A task whose policy is not there yet will be planned when it is.
        """
        found = {self.task: ToPlay(pieces, self._minutes(self.task))}
        for task in select_tasks(self.settings, self.benchmark.task_names):
            with contextlib.suppress(EvaluationError):
                missing = identity.missing_episodes(
                    self.settings, self.benchmark, self.evaluation, task
                )
                if missing and task not in found:
                    found[task] = ToPlay(len(missing), self._minutes(task))
        return found

    def remaining(self) -> list[identity.Key]:
        """The due episodes that have no finished result, nor crashed since this unit was made.

        What crashed before is played again, what crashes now has had all its attempts.
        """
        crashed = self._crashed()
        given_up = {key for key in crashed if crashed[key] != self._crashed_before.get(key)}
        return [key for key in self._missing() if key not in given_up]

    def _missing(self) -> list[identity.Key]:
        return identity.missing_episodes(self.settings, self.benchmark, self.evaluation, self.task)

    def _crashed(self) -> dict[identity.Key, int]:
        """The crashed episodes, and when they were written [ns]."""
        results, found = Results.of(self.settings), {}
        for key in self._missing():
            path = results.episode(self.evaluation, self.task, *key)
            if identity.read_result(path, self.hashes)[0] is not None:
                found[key] = path.stat().st_mtime_ns
        return found

    def covers(self, work: Any) -> set[Hashable]:
        """The episodes of a shard, if its policy, configuration and server are ours."""
        if not isinstance(work, EvaluationShard) or work.hashes != self.hashes:
            return set()
        # Nobody would keep the server of a shard alive that plays with another one.
        return set(work.episodes) if work.server == self._record else set()

    @property
    def _record(self) -> str | None:
        return None if self.server is None else self.server.record

    def works(self, pieces: Sequence[identity.Key], most: int) -> tuple[list[EvaluationShard], int]:
        """Shards of equal duration; those of the experiment's longest need not wait for others.

        Their `nice` stays small because it counts against the jobs of other users too.
        """
        launcher, tasks = self.settings.launcher, self._to_play(len(pieces))
        if not launcher.slots:
            counts = {task: min(launcher.shards, tasks[task].episodes) for task in tasks}
        else:
            counts = shard_counts(tasks, launcher.slots, launcher.start_minutes, launcher.shards)
        durations = dict.fromkeys(pieces, self._minutes(self.task))
        shares = split(durations, min(most, counts[self.task]))
        longest = max(sum(durations[key] for key in keys) for keys in shares)
        # Fewer shards than planned, where some run already, may be longer than any that was.
        nice = max(0, round(_MOST_NICE * (1 - longest / longest_shard(tasks, counts))))
        return [self._shard(keys) for keys in shares], nice

    def _shard(self, keys: Sequence[identity.Key]) -> EvaluationShard:
        launcher = self.settings.launcher
        return EvaluationShard(
            self.config, self.evaluation, self.task, tuple(keys),
            # The first episode names the logs: no two shards at one time share it.
            part=f"from_{keys[0][0]}_{keys[0][1]}_", hashes=self.hashes,
            requeue=launcher.evaluate.requeue,
            policy_memory_percent=launcher.policy_memory_percent,
            backends=self.backends, server=self._record,
            server_seconds=60 * launcher.shared_server.wait_minutes,
        )  # fmt: skip

    def progress(self) -> int:
        """The number of episodes to come."""
        return len(self.remaining())

    def succeeded(self, work: Any) -> None:
        """The result files alone tell what is done."""


class TrainingUnit:
    """One training run. Its only piece is the run's name."""

    def __init__(self, settings: Settings, run: str) -> None:
        settings.run(run)
        self.settings, self.run = settings, run
        self.results = Results.of(settings)
        self.name = job_name(settings, "train", run)
        self.title = f"training {run}"
        self.folder = self.results.jobs("train", run)
        self.config = frozen(settings)
        self.key = _training_key(settings, run)
        self.resources = _for_devices(settings, run)
        self._finished = False

    def remaining(self) -> list[str]:
        """The run, until a job of ours found it finished.

        The marker alone does not do: only the job compares it with settings and data.
        """
        return [] if self._finished else [self.run]

    def covers(self, work: Any) -> set[Hashable]:
        """The run, if the job trains with our settings."""
        return {self.run} if isinstance(work, TrainingJob) and work.key == self.key else set()

    def works(self, pieces: Sequence[str], most: int) -> tuple[list[TrainingJob], int]:
        """One job, which waits for nobody: everything waits for it."""
        requeue = self.settings.launcher.train.requeue
        return [TrainingJob(self.config, self.run, self.key, requeue)], 0

    def progress(self) -> object:
        """The checkpoints that there are."""
        folder = self.results.checkpoints(self.run)
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []

    def succeeded(self, work: Any) -> None:
        """The job has trained to the end, or found that done."""
        self._finished = self.results.trained(self.run).exists()


def _for_devices(settings: Settings, run: str) -> JobResources:
    """As many GPUs as the run uses, on as many nodes as that takes, where the profile gives GPUs.

    Raises:
        LaunchError: the devices do not fill the nodes.
    """
    resources, devices = settings.launcher.train, settings.run(run).devices
    if not resources.gpus:
        return resources
    if devices <= resources.gpus:
        return resources.model_copy(update={"gpus": devices})
    if devices % resources.gpus:
        raise LaunchError(
            f"runs.{run}.devices = {devices}, but launcher.train.gpus = {resources.gpus} a node; "
            f"valid: 1 to {resources.gpus}, or whole nodes: multiples of {resources.gpus}"
        )
    return resources.model_copy(update={"nodes": devices // resources.gpus})


def _training_key(settings: Settings, run: str) -> str:
    """A hash of the sections that training reads; it need not see the data to know its own jobs.

    Raises:
        TrainingError: the run's tasks follow from groups that are not made yet.
    """
    chosen = settings.for_run(run)
    tasks = tasks_of_run(
        settings, run, select_tasks(settings, experiment_benchmark(settings).task_names)
    )
    sections = ("seed", "benchmark", "tasks", "cameras", "data", "statistics", "tokenizer", "model")
    values = chosen.model_dump(mode="json", include=set(sections))
    return hash_json([values, tasks, chosen.run(run).model_dump(mode="json")])
