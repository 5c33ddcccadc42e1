"""From a profile's resources to the command that a rule runs."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from typing import Any

from hearth.core.errors import SettingsError, choices

# The names that Snakemake's Slurm executor gives these resources -> ours.
_NAMES = {
    "slurm_partition": "partition",
    "slurm_account": "account",
    "qos": "qos",
    "constraint": "constraint",
    "nodes": "nodes",
    "gpu": "gpus",
    "gpu_model": "gpu_model",
    "gres": "gres",
    "cpus_per_task": "cpus",
    "mem_mb": "memory_megabytes",
    "runtime": "minutes",
    "slurm_requeue": "requeue",
    "slurm_extra": "extra",
}
# Stages whose jobs are those of another one, in the settings.
_SECTION = {"finetune": "train"}
_LAUNCHER = {
    "launcher_shards": "shards",
    "launcher_slots": "slots",
    "launcher_start_minutes": "start_minutes",
    "launcher_nice_seconds": "nice_seconds",
    "launcher_policy_memory_percent": "policy_memory_percent",
    "launcher_attempts": "attempts",
    "launcher_server": "server",
    "launcher_server_batch_size": "shared_server.batch_size",
    "launcher_server_idle_minutes": "shared_server.idle_minutes",
    "launcher_server_wait_minutes": "shared_server.wait_minutes",
}
# The shared server's job has resources of its own, by the same names after this word; what
# belongs to the site and not to the job is that of the rule unless it is given.
_SERVER = "server_"
_OF_THE_SITE = ("slurm_account", "slurm_requeue")
# What Snakemake and its executor read beside these.
_SNAKEMAKE = (
    "mem", "mem_mib", "mem_mb_per_cpu", "disk", "disk_mb", "disk_mib", "tmpdir", "mpi", "tasks",
    "tasks_per_node", "tasks_per_gpu", "cpus_per_gpu", "clusters",
)  # fmt: skip
RESOURCES = ("launcher", *_NAMES, *_LAUNCHER, *(_SERVER + name for name in _NAMES), *_SNAKEMAKE)
LAUNCHED = ("train", "finetune", "evaluate")
RULES = (
    "demonstrations", "dataset_index", "prepare", "task_statistics", "statistics", "tokenizer",
    "run_statistics", "run_tokenizer",
    *LAUNCHED, "task_groups", "import_results", "ablations", "leaderboard", "submission", "upload",
)  # fmt: skip


def launch_command(stage: str) -> Callable[[Any, Any], str]:
    """A function of (wildcards, resources) for a rule's params.

    Snakemake does not compare params that depend on resources: a changed partition re-runs nothing.

    Args:
        stage: "train", "finetune" or "evaluate".
    """

    def command(wildcards: Any, resources: Any) -> str:
        return command_for(stage, dict(resources.items()))

    return command


def command_for(stage: str, resources: dict[str, Any]) -> str:
    """``train``, or ``launch train --set launcher....`` where the profile names a launcher.

    Args:
        stage: "train", "finetune" or "evaluate".
        resources: of the rule; `launcher` is none, local or slurm.

    Raises:
        SettingsError: another launcher.
    """
    executor = str(resources.get("launcher", "none"))
    if executor not in ("none", "local", "slurm"):
        raise SettingsError(
            f"resource launcher '{executor}' of rule {stage}: "
            + choices(executor, ("none", "local", "slurm"))
        )
    if executor == "none":
        return stage
    # JSON keeps an account that looks like a number a text.
    words = [
        f"--set {shlex.quote(f'{key}={json.dumps(value)}')}"
        for key, value in launcher_values(stage, resources).items()
    ]
    return f"launch {stage} {' '.join(words)}"


def launcher_values(stage: str, resources: Mapping[str, Any]) -> dict[str, int | float | str]:
    """The settings that a rule's resources give, by their dotted keys."""
    settings: dict[str, int | float | str] = {"launcher.executor": str(resources["launcher"])}
    for key, name in _LAUNCHER.items():
        if key in resources:
            settings[f"launcher.{name}"] = resources[key]
    for name, value in job_values(resources).items():
        settings[f"launcher.{_SECTION.get(stage, stage)}.{name}"] = value
    if settings.get("launcher.server") == "shared":
        for name, value in server_values(resources).items():
            settings[f"launcher.shared_server.job.{name}"] = value
    return settings


def job_values(resources: Mapping[str, Any]) -> dict[str, int | str]:
    """The fields of `JobResources` that a rule's resources give."""
    return {
        name: resources[key]
        for key, name in _NAMES.items()
        # What is not known yet (a size that follows from inputs) is no number or text.
        if isinstance(resources.get(key), int | str) and resources[key] != ""
    }


def server_values(resources: Mapping[str, Any]) -> dict[str, int | str]:
    """The fields of the shared server's `JobResources` that a rule's resources give."""
    own = {key: resources[key] for key in _OF_THE_SITE if key in resources}
    for key, value in resources.items():
        if key.startswith(_SERVER):
            own[key.removeprefix(_SERVER)] = value
    return job_values(own)
