"""The launcher's section of the settings: where long jobs run and what each asks for.

The experiment leaves it at its defaults (everything runs in place); a profile hands over its
values, so that partitions and sizes stand in the profile alone.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from hearth.core.sections import (
    Name,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Section,
)

Word = Annotated[str, Field(pattern=r"^\S+$")]


class JobResources(Section):
    """What one job asks the cluster for; None leaves it to the site's default."""

    partition: Word | None = None
    account: Word | None = None
    qos: Word | None = None
    constraint: Word | None = None
    nodes: PositiveInt = 1  # of a training, with one process on each; as many as its devices need
    gpus: NonNegativeInt = 0  # of a node
    gpu_model: Name | None = None  # the site's name of the flavour, as in gpu:h200:8
    gres: Word | None = None  # for sites that take only --gres, instead of `gpus`
    cpus: PositiveInt = 2
    memory_megabytes: PositiveInt = 8000
    minutes: PositiveInt = 240  # the time limit; a job that reaches it goes on in the next one
    requeue: bool = True  # False where the site forbids it: the launcher submits a new job instead
    extra: str = ""  # further options, as on sbatch's command line: "--reservation=week3"

    @model_validator(mode="after")
    def _check_gpus(self) -> JobResources:
        if self.gres is not None and (self.gpus or self.gpu_model):
            raise ValueError(
                f"gres {self.gres} and gpus {self.gpus} (gpu_model {self.gpu_model}) ask for GPUs "
                "in two ways: give either gres, or gpus and perhaps gpu_model"
            )
        if self.gpu_model and not self.gpus:
            raise ValueError(f"gpu_model {self.gpu_model} without gpus: say how many")
        return self


class SharedServerSettings(Section):
    """One job that serves a policy to the shards of all evaluations that play it alike."""

    job: JobResources = JobResources()  # it holds the policy and no simulator
    # Rows of every prediction. 1: episodes are bit for bit those of a server per shard; more serve
    # more shards at once, within rounding (1e-5), and still do not depend on who else plays.
    batch_size: PositiveInt = 1
    idle_minutes: PositiveFloat = 15.0  # without a request, then the job ends by itself
    wait_minutes: PositiveFloat = 60.0  # how long a shard waits for it, with its node
    start_minutes: PositiveFloat = 30.0  # to load the policy and compile it


class LauncherSettings(Section):
    """Who runs training and evaluation.

    none: the command itself, in place; local: processes of this machine; slurm: jobs.
    """

    executor: Literal["none", "local", "slurm"] = "none"
    shards: PositiveInt = 4  # most jobs of one evaluated task side by side
    # Shards of all tasks that run at once: the GPUs that an evaluation usually gets. Tasks are then
    # cut so that all are done soonest; 0 cuts each into as many as `shards` says.
    slots: NonNegativeInt = 0
    start_minutes: NonNegativeFloat = 5.0  # of a shard, before its first episode: scene and policy
    # Before it submits, a launcher waits this long per unit of nice: the longest shards come first
    # to GPUs that are idle, too.
    nice_seconds: NonNegativeFloat = 0.0
    # Of a GPU's memory, the most that a shard's policy server takes; the simulator beside it has
    # the rest. None: JAX's own limit of 75.
    policy_memory_percent: Annotated[int, Field(ge=1, le=100)] | None = None
    attempts: PositiveInt = 3  # jobs in a row that end without any progress before it gives up
    poll_seconds: PositiveFloat = 15.0  # between two looks at files and at the queue
    train: JobResources = JobResources()
    evaluate: JobResources = JobResources()
    # shard: each evaluation job has a policy server beside its simulators; shared: see below.
    server: Literal["shard", "shared"] = "shard"
    shared_server: SharedServerSettings = SharedServerSettings()

    @model_validator(mode="after")
    def _check_jobs(self) -> LauncherSettings:
        if self.evaluate.nodes != 1:
            raise ValueError(
                f"evaluate.nodes {self.evaluate.nodes}: a shard plays on one node; valid: 1 (more "
                "nodes are used by more shards)"
            )
        if self.server == "shared" and self.executor == "none":
            raise ValueError(
                "server 'shared' is a job, but executor 'none' starts none; valid executors: "
                "local, slurm"
            )
        if self.shared_server.job.nodes != 1:
            raise ValueError(
                f"shared_server.job.nodes {self.shared_server.job.nodes}: a policy server is one "
                "process; valid: 1"
            )
        return self
