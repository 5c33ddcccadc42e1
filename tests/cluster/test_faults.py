"""What a cluster does to jobs: nodes and the accounting go down, time runs out, launchers die."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from hearth.launch.names import experiment_key
from tests.cluster.conftest import Experiment
from tests.cluster.slurm import Slurm, wait_for
from tests.cluster.small_workflow import Workflow
from tests.workflow.conftest import CONFIG, TASK

pytestmark = pytest.mark.cluster

EPISODES = 6
ONE_SHARD = {"instances": EPISODES, "workers": 1, "launcher": {"shards": 1}}


def slow(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Seconds per control step; an episode has six."""
    monkeypatch.setenv("HEARTH_FAKE_STEP", str(seconds))


def complete(merged: dict[str, Any]) -> bool:
    return merged["complete"] and len(merged["episodes"]) == EPISODES


def at_work(experiment: Experiment, values: dict[str, Any]) -> tuple[subprocess.Popen[str], str]:
    """A launcher, and its one job that has played an episode."""
    launcher = experiment.start(**values)
    wait_for(experiment.results, 120, "the first episode")
    (job,) = experiment.jobs("RUNNING")
    return launcher, job


def test_a_node_that_goes_down_under_a_shard_costs_one_episode(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow(monkeypatch, 0.5)
    launcher, job = at_work(experiment, ONE_SHARD)
    node = experiment.slurm.run("squeue", "-h", "-j", job, "-o", "%N").strip()
    change = ("scontrol", "update", f"NodeName={node}")
    experiment.slurm.run(*change, "State=DOWN", "Reason=power")
    try:
        experiment.slurm.wait_requeued(job)
        experiment.slurm.hurry(job)
        assert complete(experiment.finish(launcher))
    finally:
        # It may have come back by itself.
        experiment.slurm.run(*change, "State=RESUME", check=False)
    assert len(experiment.played()) <= EPISODES + 1
    # Slurm may try the old node again, fail, and hold the job: then the launcher submits a new one.
    shown = experiment.slurm.run("scontrol", "show", "job", job)
    assert int(shown.partition("Restarts=")[2].split()[0]) >= 1, "the job was thrown off its node"


def test_a_launcher_does_not_need_the_accounting(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow(monkeypatch, 0.5)
    launcher, job = at_work(experiment, ONE_SHARD)
    experiment.slurm.stop_accounting()
    try:
        # It dies without the accounting, and the next job is submitted without it too.
        experiment.slurm.run("scancel", job)
        assert complete(experiment.finish(launcher))
    finally:
        experiment.slurm.start_accounting()
    assert set(Counter(experiment.played()).values()) <= {1, 2}


@pytest.mark.timeout(600)
def test_snakemake_waits_for_an_accounting_that_is_down_for_a_minute(
    tmp_path: Path, slurm: Slurm
) -> None:
    workflow = Workflow(tmp_path, slurm)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    command = workflow.command("--until", "demonstrations")
    command += ["--max-status-checks-per-second", "0.2"]  # it asks as often as the profile says
    said = tmp_path / "snakemake.log"
    with said.open("w") as log:
        process = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log)
    running = ("squeue", "-h", "-t", "RUNNING", "-o", "%i")
    wait_for(lambda: slurm.run(*running).split(), 120, "the job of Snakemake's executor")
    (job,) = slurm.run(*running).split()
    slurm.stop_accounting()
    try:
        time.sleep(60)
    finally:
        slurm.start_accounting()
    assert process.wait(240) == 0, said.read_text()[-4000:]
    assert (workflow.results / f"demonstrations/{TASK}.json").exists()
    mine = ("-W", experiment_key(workflow.settings()))
    ask = ("sacct", "-X", "-n", "-P", *mine, "-o", "JobID,State")
    wait_for(lambda: "RUNNING" not in slurm.run(*ask), 60, "the news of the job's end")
    assert slurm.run(*ask).split() == [f"{job}|COMPLETED"], "submitted once"


@pytest.mark.timeout(600)
def test_a_shard_that_reaches_its_time_limit_goes_on(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow(monkeypatch, 3.0)  # 108 s for six episodes; the notice comes after 90 s
    values = {**ONE_SHARD, "launcher": {"shards": 1, "evaluate": {"minutes": 2}}}
    launcher, job = at_work(experiment, values)
    # At the same time, so that the limit is awaited once: a site that forbids requeueing.
    faults = experiment.folder / "forbidding" / "faults"
    faults.mkdir(parents=True)
    monkeypatch.setenv("HEARTH_FAKE", str(faults))
    forbidding = Experiment(faults.parent, experiment.slurm, faults)
    values["launcher"]["evaluate"]["requeue"] = False
    next_launcher = forbidding.start(**values)
    wait_for(forbidding.results, 120, "the first episode")
    (forbidden,) = set(experiment.jobs("RUNNING")) - {job}

    experiment.slurm.wait_requeued(job)
    experiment.slurm.hurry(job)
    assert complete(experiment.finish(launcher))
    assert "Restarts=1" in experiment.slurm.run("scontrol", "show", "job", job)
    merged = forbidding.finish(next_launcher)
    assert complete(merged) and merged["said"].count("submitting") == 2
    shown = experiment.slurm.run("scontrol", "show", "job", forbidden)
    assert "Requeue=0 Restarts=0" in shown
    for played in (experiment.played(), forbidding.played()):
        assert len(played) <= EPISODES + 1


@pytest.mark.parametrize("fault", ["segfault", "raise"])
def test_a_simulator_that_dies_once_costs_one_attempt(experiment: Experiment, fault: str) -> None:
    (experiment.faults / "once_303").write_text(fault)
    merged = experiment.finish(**ONE_SHARD)
    assert complete(merged)
    assert Counter(experiment.played())[303] == 2


def test_a_simulator_that_always_dies_is_shown(experiment: Experiment) -> None:
    (experiment.faults / "instance_303").write_text("segfault")
    merged = experiment.finish(**ONE_SHARD)
    assert merged["counts"]["crashed"] == 1 and not merged["complete"]
    assert Counter(experiment.played()) == {**dict.fromkeys(range(301, 307), 1), 303: 3}


@pytest.mark.timeout(600)
def test_a_launcher_killed_at_ten_random_moments_changes_nothing(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow(monkeypatch, 0.5)
    moments = random.Random(5)
    for _ in range(10):
        launcher = experiment.start(instances=EPISODES, workers=1)
        try:
            launcher.wait(moments.uniform(0.5, 5.0))
        except subprocess.TimeoutExpired:
            os.kill(launcher.pid, signal.SIGKILL)
        launcher.communicate()
        time.sleep(moments.uniform(0.0, 1.0))
    assert complete(experiment.finish(instances=EPISODES, workers=1))
    killed = _outcome(experiment)
    for path in experiment.results():
        path.unlink()
    assert complete(experiment.finish(instances=EPISODES, workers=1))
    assert killed == _outcome(experiment), "the merged file and every episode"


def _outcome(experiment: Experiment) -> dict[str, Any]:
    """All results, without where and when they were made."""
    files = {path.name: json.loads(path.read_text()) for path in experiment.results()}
    for values in files.values():
        del values["provenance"]
    merged = experiment.folder / "results/fake/evaluation/trained/turning_on_radio.json"
    return {**files, "merged": merged.read_bytes()}
