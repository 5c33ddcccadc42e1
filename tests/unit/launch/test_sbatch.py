"""What is handed to sbatch, and what the launcher makes of the answers. No cluster needed."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from submitit.slurm.slurm import _make_sbatch_string

from hearth.core.errors import LaunchError, SettingsError
from hearth.core.launching import JobResources
from hearth.core.settings import validate_settings
from hearth.launch.executors import sbatch_parameters
from hearth.launch.options import command_for
from hearth.launch.queue import Queue, QueuedJob, parse_queue
from hearth.launch.shards import split
from hearth.launch.work import keep_compiled

GOLDEN = Path(__file__).parent / "golden"
TRAIN = JobResources(
    partition="h200", account="research", gpus=8, gpu_model="h200", cpus=32,
    memory_megabytes=240000, minutes=1440, extra="--reservation=week3 --exclusive",
)  # fmt: skip
EVALUATE = JobResources(
    partition="rtx", gres="gpu:rtx:1", cpus=8, memory_megabytes=48000, minutes=4, requeue=False
)


@pytest.mark.parametrize(
    ("name", "resources", "nice", "jobs"),
    [
        ("train", TRAIN, 0, None),
        ("two-nodes", TRAIN.model_copy(update={"nodes": 2}), 0, None),
        ("evaluate", EVALUATE, 9500, 8),
    ],
)
def test_batch_scripts_are_the_recorded_ones(
    name: str, resources: JobResources, nice: int, jobs: int | None
) -> None:
    text = _make_sbatch_string(
        "python -u -m submitit.core._submit /jobs",
        "/jobs",
        map_count=jobs,
        **sbatch_parameters(f"hearth-{name}", resources, nice),
    )
    assert text == (GOLDEN / f"{name}.sbatch").read_text()


def test_options_must_be_single_words() -> None:
    with pytest.raises(LaunchError, match="'-C' of sbatch: write --name=value"):
        sbatch_parameters("name", JobResources(extra="-C hbm"))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"gres": "gpu:1", "gpus": 1}, "give either gres, or gpus"),
        ({"gpu_model": "h200"}, "without gpus"),
        ({"partitions": "h200"}, "did you mean 'partition'"),
    ],
)
def test_impossible_resources_are_refused(values: dict, message: str) -> None:
    settings = {"experiment": "x", "benchmark": "household", "demonstrations": {}}
    with pytest.raises(SettingsError, match=message):
        validate_settings({**settings, "launcher": {"train": values}}, source="test")


def test_without_a_launcher_the_rule_runs_in_place() -> None:
    assert command_for("train", {"mem_mb": 1000, "settings": "x.yaml"}) == "train"


def test_the_second_phase_asks_for_what_training_asks_for() -> None:
    assert command_for("finetune", {}) == "finetune"
    assert command_for("finetune", {"launcher": "local", "cpus_per_task": 4}) == (
        "launch finetune --set 'launcher.executor=\"local\"' --set launcher.train.cpus=4"
    )


def test_a_profile_becomes_a_command() -> None:
    resources = {
        "launcher": "slurm", "slurm_partition": "rtx", "slurm_account": "123", "gpu": 1,
        "runtime": 60,
        "launcher_shards": 8, "launcher_slots": 20, "launcher_nice_seconds": 1.5,
        "slurm_extra": "--mail-type=END --nice=5",
    }  # fmt: skip
    assert command_for("evaluate", resources) == (
        "launch evaluate --set 'launcher.executor=\"slurm\"' --set launcher.shards=8"
        " --set launcher.slots=20 --set launcher.nice_seconds=1.5"
        " --set 'launcher.evaluate.partition=\"rtx\"' --set 'launcher.evaluate.account=\"123\"'"
        " --set launcher.evaluate.gpus=1 --set launcher.evaluate.minutes=60"
        " --set 'launcher.evaluate.extra=\"--mail-type=END --nice=5\"'"
    )
    with pytest.raises(SettingsError, match="launcher 'slrum' of rule train: did you mean 'slurm'"):
        command_for("train", {"launcher": "slrum"})


def test_a_shared_server_has_resources_of_its_own() -> None:
    resources = {
        "launcher": "slurm", "slurm_partition": "rtx", "slurm_account": "research",
        "launcher_server": "shared", "launcher_server_batch_size": 8,
        "server_slurm_partition": "h200", "server_gpu": 1, "server_mem_mb": 64000,
    }  # fmt: skip
    said = command_for("evaluate", resources)
    for word in (
        "'launcher.server=\"shared\"'", "launcher.shared_server.batch_size=8",
        "'launcher.evaluate.partition=\"rtx\"'",
        "'launcher.shared_server.job.partition=\"h200\"'",
        "'launcher.shared_server.job.account=\"research\"'",
        "launcher.shared_server.job.gpus=1",
        "launcher.shared_server.job.memory_megabytes=64000",
    ):  # fmt: skip
        assert f"--set {word}" in said, word
    said = command_for("evaluate", {**resources, "launcher_server": "shard"})
    assert "shared_server.job" not in said


def test_the_queue_is_read() -> None:
    text = "62_0|RUNNING|hearth-x|None\n62_1|PENDING|hearth-x|PartitionTimeLimit\nnoise\n"
    running, pending = parse_queue(text)
    assert running == QueuedJob("62_0", "RUNNING", "hearth-x", "None")
    assert pending.hopeless and not running.hopeless
    assert not QueuedJob("1", "PENDING", "x", "Resources").hopeless


def test_launchers_share_one_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = tmp_path / "calls"
    program = tmp_path / "squeue"
    program.write_text(f"#!/bin/sh\necho x >> {calls}\necho '7|RUNNING|name|None'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    queues = [Queue(tmp_path / "jobs" / "queue.json", 60.0) for _ in range(3)]
    for queue in queues:
        assert [job.id for job in queue.jobs()] == ["7"]
    assert calls.read_text().count("x") == 1
    # What was submitted just now is not in an older answer.
    queues[0].jobs(newer_than=time.time())
    assert calls.read_text().count("x") == 2
    program.write_text("#!/bin/sh\necho 'Unable to contact slurm controller' >&2\nexit 1\n")
    with pytest.raises(LaunchError, match="Unable to contact slurm controller"):
        queues[0].jobs(newer_than=time.time())
    assert json.loads((tmp_path / "jobs" / "queue.json").read_text())["jobs"], "the old one stays"


def test_shards_are_of_equal_length() -> None:
    durations = {number: float(number % 7 + 1) for number in range(40)}
    shards = split(durations, 6)
    loads = [sum(durations[key] for key in keys) for keys in shards]
    assert sorted(key for keys in shards for key in keys) == list(range(40))
    assert max(loads) <= 1.05 * sum(loads) / 6 + 1
    assert loads == sorted(loads, reverse=True)
    assert split({"a": 1.0}, 5) == [["a"]]
    assert split({}, 5) == []


@pytest.mark.parametrize("chosen", [None, "compiled/login", "mine/cache"])
def test_what_a_job_compiles_is_kept_for_its_own_node(
    chosen: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {
        "experiment": "x", "results": str(tmp_path), "benchmark": "household", "demonstrations": {},
    }  # fmt: skip
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    if chosen is not None:
        monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "x" / chosen))
    monkeypatch.setattr("socket.gethostname", lambda: "n1")
    keep_compiled(validate_settings(values, source="test"))
    kept = Path(os.environ["JAX_COMPILATION_CACHE_DIR"]).relative_to(tmp_path / "x")
    assert str(kept) == ("mine/cache" if chosen == "mine/cache" else "compiled/n1")


def test_a_shard_is_not_spread_over_nodes() -> None:
    values = {"experiment": "e", "benchmark": "household", "launcher": {"evaluate": {"nodes": 2}}}
    with pytest.raises(SettingsError, match=r"evaluate.nodes 2: .*valid: 1"):
        validate_settings(values, source="test")
