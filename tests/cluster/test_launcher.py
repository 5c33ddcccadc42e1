"""The launcher on a real Slurm: split, adopt, continue, refuse, cancel."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import psutil
import pytest

from hearth.core.launching import LauncherSettings
from tests.cluster.conftest import ROOT, Experiment
from tests.cluster.slurm import wait_for

pytestmark = pytest.mark.cluster

EPISODES = 6


def job_name(experiment: Experiment) -> str:
    """The name of the jobs, from the batch script of one of them."""
    script = next((experiment.folder / "results").rglob("*_submission.sh"))
    line = next(line for line in script.read_text().splitlines() if "--job-name=" in line)
    return line.partition("--job-name=")[2]


def submissions(experiment: Experiment) -> list[Path]:
    """The batch scripts that were handed to sbatch."""
    scripts = (experiment.folder / "results").rglob("*_submission.sh")
    return [path for path in scripts if not path.name.startswith(".")]


def complete(merged: dict) -> bool:
    return merged["complete"] and len(merged["episodes"]) == EPISODES


def slow(monkeypatch: pytest.MonkeyPatch, seconds: float = 0.5) -> None:
    """Seconds per control step; an episode has six."""
    monkeypatch.setenv("HEARTH_FAKE_STEP", str(seconds))


def test_a_task_is_split_played_and_merged(experiment: Experiment) -> None:
    merged = experiment.finish(instances=EPISODES, workers=1)
    assert complete(merged)
    assert Counter(experiment.played()) == dict.fromkeys(range(301, 301 + EPISODES), 1)
    (script,) = submissions(experiment)
    assert "--array=0-1" in script.read_text()
    hosts = {path.name for path in (experiment.folder / "results").rglob("*worker0.log")}
    assert len(hosts) == 2, "each shard has a simulator and logs of its own"
    assert not list((experiment.folder / "results").rglob("*.pkl")), "records are cleaned up"
    again = experiment.finish(instances=EPISODES, workers=1)
    assert complete(again) and len(submissions(experiment)) == 1


def test_kill_9_of_the_launcher_leaves_jobs_that_the_next_one_adopts(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow(monkeypatch)
    first = experiment.start(instances=EPISODES, workers=1)
    wait_for(experiment.results, 120, "the first episode")
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    assert experiment.jobs("RUNNING"), "the jobs go on"
    assert complete(experiment.finish(instances=EPISODES, workers=1))
    assert len(submissions(experiment)) == 1, "nothing was submitted again"
    assert set(Counter(experiment.played()).values()) == {1}


def test_two_launchers_do_the_work_once(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow(monkeypatch, 0.1)
    first = experiment.start(instances=EPISODES, workers=1)
    second = experiment.finish(instances=EPISODES, workers=1)
    assert complete(second) and complete(experiment.finish(first))
    assert len(submissions(experiment)) == 1
    assert set(Counter(experiment.played()).values()) == {1}


def test_a_cancelled_shard_goes_on_with_its_remaining_episodes(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow(monkeypatch)
    values = {"instances": EPISODES, "workers": 1, "launcher": {"shards": 1}}
    launcher = experiment.start(**values)
    wait_for(lambda: len(experiment.results()) >= 2, 120, "the second episode")
    before = {path: path.read_bytes() for path in experiment.results()}
    experiment.slurm.run("scancel", *experiment.jobs("RUNNING"))
    assert complete(experiment.finish(launcher))
    assert len(submissions(experiment)) == 2
    for path, content in before.items():
        assert path.read_bytes() == content, f"{path.name} was played again"


def test_a_dead_shard_is_noticed_within_a_minute(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow(monkeypatch)
    seldom = {"shards": 1, "poll_seconds": LauncherSettings().poll_seconds}
    launcher = experiment.start(instances=EPISODES, workers=1, launcher=seldom)
    wait_for(experiment.results, 120, "the first episode")
    (job,) = experiment.jobs("RUNNING")
    experiment.slurm.run("scancel", "--full", "--signal=KILL", job)
    wait_for(lambda: len(submissions(experiment)) == 2, 60, "the next job")
    assert complete(experiment.finish(launcher))


def test_a_requeued_shard_goes_on_in_the_same_job(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow(monkeypatch)
    launcher = experiment.start(instances=EPISODES, workers=1, launcher={"shards": 1})
    wait_for(experiment.results, 120, "the first episode")
    (job,) = experiment.jobs("RUNNING")
    before = len(experiment.results())
    experiment.slurm.run("scontrol", "requeue", job)
    wait_for(lambda: experiment.jobs("PENDING"), 60, "the requeueing")
    assert launcher.poll() is None, "the launcher waits for the job to run again"
    experiment.slurm.hurry(job)
    assert complete(experiment.finish(launcher))
    assert len(submissions(experiment)) == 1
    assert len(experiment.played()) <= EPISODES + 1 and before >= 1


def test_a_job_without_a_record_is_cancelled(experiment: Experiment) -> None:
    """As a launcher leaves it that is killed between sbatch and its own record."""
    values = {"instances": EPISODES, "workers": 1}
    assert complete(experiment.finish(**values))
    name = job_name(experiment)
    for path in experiment.results()[:2]:
        path.unlink()
    options = ("--parsable", "--job-name", name, "--output=/dev/null", "--wrap=sleep 300")
    orphan = experiment.slurm.run("sbatch", *options).strip()
    assert orphan in experiment.jobs()
    assert complete(experiment.finish(**values))
    assert orphan not in experiment.jobs("RUNNING", "PENDING")


def test_a_refused_submission_says_why(experiment: Experiment) -> None:
    launcher = experiment.start(
        instances=2, workers=1, launcher={"evaluate": {"partition": "gpus"}}
    )
    _, said = launcher.communicate(timeout=60)
    assert launcher.returncode == 1
    assert "invalid partition" in said and "'partition': 'gpus'" in said, said
    assert "Traceback" not in said


def test_a_shard_that_always_dies_ends_the_launcher_with_its_log(experiment: Experiment) -> None:
    (experiment.faults / "server_start").touch()
    launcher = experiment.start(instances=2, workers=1, launcher={"attempts": 2, "shards": 1})
    _, said = launcher.communicate(timeout=120)
    assert launcher.returncode == 1
    assert "2 jobs in a row ended without progress" in said, said
    assert "the server has no memory left" in said, said
    assert len(submissions(experiment)) == 2


def test_an_episode_of_another_policy_is_played_again(experiment: Experiment) -> None:
    values = {"instances": 2, "workers": 1}
    experiment.finish(**values)
    bundle = experiment.folder / "results/fake/runs/main/policy/provenance.json"
    bundle.write_text('{"hash": "fedcba9876543210"}')
    merged = experiment.finish(**values)
    assert merged["complete"] and merged["policy_hash"] == "fedcba9876543210"
    assert len(experiment.played()) == 4


def test_control_c_cancels_the_jobs(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow(monkeypatch, 2.0)
    launcher = experiment.start(instances=EPISODES, workers=1)
    wait_for(lambda: experiment.jobs("RUNNING"), 60, "a running job")
    launcher.send_signal(signal.SIGINT)
    _, said = launcher.communicate(timeout=60)
    assert launcher.returncode != 0 and "cancelling the jobs" in said
    wait_for(lambda: not experiment.jobs(), 60, "the end of the jobs")


def test_a_waiting_launcher_is_light(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow(monkeypatch, 1.0)
    launcher = experiment.start(instances=EPISODES, workers=1, launcher={"poll_seconds": 5.0})
    wait_for(lambda: experiment.jobs("RUNNING"), 60, "a running job")
    process = psutil.Process(launcher.pid)
    before = sum(process.cpu_times()[:2])
    with pytest.raises(psutil.TimeoutExpired):
        process.wait(15)
    used = sum(process.cpu_times()[:2]) - before
    assert used < 0.3, f"{used:.2f} s of processor time in 15 s"
    assert process.memory_info().rss < 40e6
    launcher.send_signal(signal.SIGINT)
    launcher.communicate(timeout=60)


def test_the_shipped_profile_fits_the_cluster(experiment: Experiment) -> None:
    command = [sys.executable, "-m", "hearth", "cluster", "check", "--profile"]
    profile = ROOT / "profiles/slurm/config.yaml"
    done = subprocess.run([*command, str(profile)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    other = experiment.folder / "config.yaml"
    other.write_text(profile.read_text().replace("slurm_partition: rtx", "slurm_partition: a40"))
    done = subprocess.run([*command, str(other)], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "evaluate: no partition 'a40'" in done.stdout, done.stderr
    # What only the controller knows, in its words.
    other.write_text(profile.read_text().replace("# constraint: hbm", "constraint: hbm"))
    done = subprocess.run([*command, str(other)], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "Invalid feature specification" in done.stdout, done.stderr


def test_a_job_that_can_never_run_is_named(experiment: Experiment) -> None:
    resources = {"partition": "rtx", "minutes": 2000}  # the partition's limit is a day
    launcher = experiment.start(
        instances=2, workers=1, launcher={"attempts": 2, "shards": 1, "evaluate": resources}
    )
    _, said = launcher.communicate(timeout=120)
    assert launcher.returncode == 1
    assert "could not run: PartitionTimeLimit" in said, said
    wait_for(lambda: not experiment.jobs(), 30, "the cancelling")
