"""The whole workflow through profiles/slurm, and a training run that is preempted."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from hearth.launch.names import experiment_key
from hearth.launch.usage import usage
from tests.cluster.slurm import wait_for
from tests.cluster.small_workflow import Workflow
from tests.workflow.conftest import BIN, ROOT, TASK

# One worker runs all of these: they share an experiment.
pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("workflow")]


@pytest.mark.timeout(1500)
def test_the_leaderboard_comes_out_of_the_cluster(workflow: Workflow) -> None:
    page = (workflow.results / "leaderboard/index.html").read_text()
    assert "INCOMPLETE" not in page
    merged = json.loads((workflow.results / f"evaluation/expert/{TASK}.json").read_text())
    assert merged["complete"] and merged["success_rate"] == 1.0
    mine = ("-W", experiment_key(workflow.settings()))
    fields = ("-o", "JobName,Partition,State,AllocTRES")
    text = workflow.slurm.run("sacct", "-X", "-n", "-P", *mine, *fields)
    jobs = [line.split("|") for line in text.splitlines()]
    train = [job for job in jobs if "-train-" in job[0]]
    evaluate = [job for job in jobs if "-evaluate-trained-" in job[0]]
    short = [job for job in jobs if not job[0].startswith("hearth-")]
    assert {job[1] for job in train} == {"h200"} and "gres/gpu=1" in train[0][3]
    assert {"rtx"} <= {job[1] for job in evaluate}
    assert {job[1] for job in short} == {"cpu"}, "no CPU stage holds a GPU"
    assert len(short) == 4, "demonstrations, prepare and twice statistics"


def test_the_status_counts_the_jobs_of_every_stage(workflow: Workflow) -> None:
    seen = workflow.seen
    for stage in ("demonstrations", "prepare", "statistics"):
        assert seen[stage, ""] in ((1, 0), (1, 1)), f"{stage}: one job at a time, {seen}"
        assert seen[stage, TASK][0] == 1, f"{stage}: it works on the task, {seen}"
    assert seen["train", "main"][0] == seen["evaluate", "trained " + TASK][0] == 1, seen


def test_the_usage_of_every_rule_is_told(workflow: Workflow) -> None:
    settings = workflow.settings()
    found = {item.rule: item for item in usage(settings, "now-1days")}
    short = {"demonstrations", "prepare", "task_statistics", "statistics"}
    assert found.keys() == short | {"train", "evaluate"}
    assert found["prepare"].memory == 32000 * 2**20 and found["prepare"].longest.cpus == 2
    for rule, item in found.items():
        assert item.states == {"COMPLETED": len(item.jobs)}, rule
        assert item.most_memory is not None and 20e6 < item.most_memory < 4e9, rule
        assert item.longest.limit_seconds and 0 < item.longest.seconds < item.longest.limit_seconds
    # Training holds the interpreter, JAX and the network; statistics little more than numpy.
    sizes = {rule: item.most_memory or 0 for rule, item in found.items()}
    assert sizes["train"] > sizes["statistics"]
    command = [
        str(BIN / "hearth"),
        "cluster",
        "usage",
        "--config",
        str(workflow.folder / "config.yaml"),
    ]
    command += ["--set", f"results={workflow.folder / 'results'}"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "mem_mb asked" in shown and "32000" in shown and "completed" in shown


def test_a_second_run_with_the_installed_profile_has_nothing_to_do(
    workflow: Workflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    subprocess.run(["make", "-C", str(ROOT), "install-profile"], check=True, capture_output=True)
    again = workflow.snakemake("--dry-run", profile="slurm")
    assert "Nothing to be done" in again.stdout + again.stderr


@pytest.mark.timeout(900)
def test_a_preempted_training_goes_on_with_the_same_losses(workflow: Workflow) -> None:
    slurm = workflow.slurm
    run = workflow.results / "runs/main"
    # Both begin anew: the learning rate follows from the number of steps.
    shutil.rmtree(run)
    command = [*workflow.hearth("train"), "--run", "main"]
    subprocess.run(command, cwd=workflow.folder, check=True, capture_output=True, timeout=400)
    undisturbed = workflow.losses()
    shutil.rmtree(run)
    launch = [
        *workflow.hearth("launch", "train"), "--run", "main",
        "--set", "launcher.executor=slurm", "--set", "launcher.poll_seconds=2",
        "--set", "launcher.train.partition=h200", "--set", "launcher.train.cpus=4",
    ]  # fmt: skip
    launcher = subprocess.Popen(
        launch, cwd=workflow.folder, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    wait_for(lambda: (run / "checkpoints/10").is_dir(), 300, "the first checkpoint")
    job = slurm.run("squeue", "-h", "-p", "h200", "-o", "%i").strip()
    slurm.run("sbatch", "-p", "urgent", "--exclusive", "-o", "/dev/null", "--wrap", "sleep 5")
    slurm.wait_requeued(job)
    slurm.hurry(job)
    _, said = launcher.communicate(timeout=400)
    assert launcher.returncode == 0, said
    assert said.count("submitting") == 1, said
    assert "Restarts=1" in slurm.run("scontrol", "show", "job", job)
    log = next(workflow.results.glob(f"jobs/train-main/{job}_0_log.out")).read_text()
    assert "goes on from step" in log
    assert workflow.losses() == undisturbed


@pytest.mark.timeout(900)
def test_two_nodes_learn_what_one_learns(
    workflow: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = workflow.results / "runs/main"
    both = ("--run", "main", "--set", "runs.main.devices=2")
    with monkeypatch.context() as one_machine:
        one_machine.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=2")
        shutil.rmtree(run)
        command = [*workflow.hearth("train"), *both]
        subprocess.run(command, cwd=workflow.folder, check=True, capture_output=True, timeout=400)
    alone = workflow.losses()
    shutil.rmtree(run)
    launcher = {"executor": "slurm", "poll_seconds": 2, "train.partition": "cpu"}
    launcher |= {"train.nodes": 2, "train.cpus": 4}
    words = [
        word for key, value in launcher.items() for word in ("--set", f"launcher.{key}={value}")
    ]
    command = [*workflow.hearth("launch", "train"), *both, *words]
    done = subprocess.run(command, cwd=workflow.folder, capture_output=True, text=True, timeout=600)
    logs = "\n".join(
        path.read_text()[-3000:] for path in run.parents[1].glob("jobs/train-main/*.out")
    )
    assert done.returncode == 0, done.stderr + logs
    mine = ("-W", experiment_key(workflow.settings()))
    nodes = workflow.slurm.run("sacct", "-X", "-n", "-P", *mine, "-o", "JobName,NodeList").split()
    assert any("-train-" in line and line.endswith("|n[1-2]") for line in nodes), nodes
    together = workflow.losses()
    assert together.keys() == alone.keys()
    for step, loss in alone.items():
        assert together[step] == pytest.approx(loss, rel=1e-3), step
