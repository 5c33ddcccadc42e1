"""A look at the cluster before anything queues: what in the profile cannot work here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from hearth.core.errors import LaunchError, choices
from hearth.core.launching import JobResources
from hearth.launch.entries import entry_problems, explained, section
from hearth.launch.executors import sbatch_parameters
from hearth.launch.nodes import file_system_problems, nodes, unresolved
from hearth.launch.options import LAUNCHED, job_values, server_values
from hearth.launch.queue import command


@dataclass
class Partition:
    """What Slurm says of one partition, its nodes taken together.

    Attributes:
        minutes: the time limit; None for no limit.
        cpus, memory_megabytes: of the largest node.
        gpus: the most of each flavour on one node; "" for a flavour without a name.
    """

    minutes: int | None = None
    cpus: int = 0
    memory_megabytes: int = 0
    gpus: dict[str, int] = field(default_factory=dict)


def partitions() -> dict[str, Partition]:
    """The partitions of the cluster by name.

    Raises:
        LaunchError: the cluster does not answer.
    """
    return parse_partitions(command(["sinfo", "-h", "-o", "%R|%l|%c|%m|%G"]))


def parse_partitions(text: str) -> dict[str, Partition]:
    """From sinfo's lines ``name|time limit|cpus|memory|gres``."""
    found: dict[str, Partition] = {}
    for line in text.splitlines():
        name, limit, cpus, memory, gres = line.strip().split("|", 4)
        partition = found.setdefault(name, Partition())
        partition.minutes = _minutes(limit)
        partition.cpus = max(partition.cpus, int(cpus.rstrip("+")))
        partition.memory_megabytes = max(partition.memory_megabytes, int(memory.rstrip("+")))
        for model, count in _gpus(gres).items():
            partition.gpus[model] = max(partition.gpus.get(model, 0), count)
    return found


def _minutes(limit: str) -> int | None:
    """Slurm's days-hours:minutes:seconds."""
    if limit in ("infinite", "n/a"):
        return None
    days, _, rest = limit.rpartition("-")
    parts = [int(part) for part in rest.split(":")]
    hours, minutes, _ = [0] * (3 - len(parts)) + parts
    return (int(days or 0) * 24 + hours) * 60 + minutes


def _gpus(gres: str) -> dict[str, int]:
    """From "gpu:h200:8(S:0-1),shard:4": the number of GPUs by flavour."""
    found: dict[str, int] = {}
    for part in gres.replace("(null)", "").split(","):
        words = part.partition("(")[0].split(":")
        if words[0] == "gpu" and words[-1].isdigit():
            found[words[1] if len(words) == 3 else ""] = int(words[-1])
    return found


def problems(stage: str, wanted: JobResources, found: Mapping[str, Partition]) -> list[str]:
    """What of a stage's resources this cluster cannot give; empty if all is well."""
    name = wanted.partition
    if name is None:
        return []
    if name not in found:
        return [f"{stage}: no partition '{name}': {choices(name, found)}"]
    partition, said = found[name], []
    if partition.minutes is not None and wanted.minutes > partition.minutes:
        said.append(f"runtime {wanted.minutes} min; its limit is {partition.minutes}")
    if wanted.cpus > partition.cpus:
        said.append(f"cpus_per_task {wanted.cpus}; its largest node has {partition.cpus}")
    if wanted.memory_megabytes > partition.memory_megabytes:
        most = partition.memory_megabytes
        said.append(f"mem_mb {wanted.memory_megabytes}; its largest node has {most}")
    said += _gpu_problems(wanted, partition)
    return [f"{stage}: partition '{name}': {text}" for text in said]


def _gpu_problems(wanted: JobResources, partition: Partition) -> list[str]:
    if wanted.gpus == 0:
        return []
    model = wanted.gpu_model
    if model is not None and model not in partition.gpus:
        return [f"gpu_model {model}: {choices(model, partition.gpus)}"]
    most = partition.gpus[model] if model else max(partition.gpus.values(), default=0)
    return [f"gpu {wanted.gpus}; its nodes have {most}"] if wanted.gpus > most else []


def profile_problems(profile: Mapping[str, Any]) -> list[str]:
    """What in a Snakemake profile this cluster cannot give, and what in it nobody reads.

    Args:
        profile: the content of its config.yaml.

    Raises:
        LaunchError: the cluster does not answer.
    """
    found = partitions()
    said = entry_problems(profile)
    used: set[str] = set()
    for name, values in _jobs(profile).items():
        try:
            wanted = JobResources.model_validate(values)
        except ValidationError as error:
            # The launcher's settings are told of already.
            new = [f"{name}: {text}" for text in explained(error)]
            said += [] if any(line.startswith(f"{name}: ") for line in said) else new
            continue
        impossible = problems(name, wanted, found)
        said += impossible or trial(name, wanted)
        if wanted.partition in found:
            used.add(wanted.partition)
    said += file_system_problems(nodes(used))
    return [*said, *filter(None, [_accounting_trouble()])]


def _jobs(profile: Mapping[str, Any]) -> dict[str, dict[str, int | str]]:
    """What the jobs of each rule ask for, and those of shared servers."""
    default, threads = section(profile, "default-resources"), section(profile, "set-threads")
    jobs = {"default-resources": job_values(default)}
    for rule, resources in section(profile, "set-resources").items():
        if not isinstance(resources, dict):
            continue
        asked = {**default, **resources}
        # Snakemake's executor asks for a rule's threads, the launcher for cpus_per_task.
        own = {} if rule in LAUNCHED or rule not in threads else {"cpus": threads[rule]}
        jobs[rule] = {**own, **job_values(asked)}
        if asked.get("launcher_server") == "shared":
            jobs[f"{rule}, shared server"] = server_values(asked)
    return jobs


def trial(name: str, wanted: JobResources) -> list[str]:
    """What sbatch says of such a job, which it only checks: accounts, QOS, features, reservations.

    Args:
        name: of the rule.
        wanted: its resources.
    """
    try:
        parameters = sbatch_parameters("hearth-check", wanted)
    except LaunchError as error:
        return [f"{name}: {error}"]
    options = dict(parameters.pop("additional_parameters"))
    for key in ("partition", "account", "qos", "constraint", "gres", "gpus_per_node", "nodes",
                "cpus_per_task", "mem", "time"):  # fmt: skip
        if key in parameters:
            options.setdefault(key.replace("_", "-"), parameters[key])
    words = [f"--{key}" if value is True else f"--{key}={value}" for key, value in options.items()]
    try:
        command(["sbatch", "--test-only", *words, "--wrap=true"])
    except LaunchError as error:
        reason = str(error).splitlines()[0].partition("--wrap=true: ")[2] or str(error)
        return [f"{name}: sbatch {' '.join(words)}: {reason}"]
    return []


def remarks(profile: Mapping[str, Any]) -> list[str]:
    """What hearth can live without but other programs at this site may not.

    Raises:
        LaunchError: the cluster does not answer.
    """
    wanted = {str(job["partition"]) for job in _jobs(profile).values() if "partition" in job}
    lost = unresolved(nodes(wanted & set(partitions())))
    if not lost:
        return []
    return [
        f"names of nodes that do not resolve here: {', '.join(lost)}; training over several nodes "
        "exchanges addresses instead, but a launch by other means may fail"
    ]


def _accounting_trouble() -> str:
    """Empty, or why the accounting cannot be used; Snakemake's executor asks it about every job."""
    try:
        command(["sacct", "-X", "-n", "-S", "now"])
    except LaunchError as error:
        return f"the accounting does not answer: {error}"
    return ""
