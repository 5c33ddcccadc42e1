"""One server job for the shards of many launchers, with submitit's local executor."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from hearth.core.errors import LaunchError, ServingError, SettingsError
from hearth.core.files import write_json
from hearth.core.launching import JobResources
from hearth.core.results import Results
from hearth.core.settings import Settings, freeze_settings, validate_settings
from hearth.evaluation.backends import Backends
from hearth.evaluation.merge import merge_and_write
from hearth.evaluation.official_evaluator import process
from hearth.evaluation.official_evaluator.process import Activity
from hearth.evaluation.run import evaluate_task
from hearth.launch.local import Local
from hearth.launch.queue import QueuedJob
from hearth.launch.server_job import ServerJob, server_job
from hearth.launch.shared_server import SharedServer, server_place
from hearth.launch.units import EvaluationUnit
from hearth.serving.record import ServerRecord

COMMAND = (
    sys.executable, str(Path(__file__).parents[1] / "evaluation" / "evaluation_fakes.py")
)  # fmt: skip
TASK, HASH = "turning_on_radio", "0123456789abcdef"
SHARED = {"server": "shared"}


def finish(process: subprocess.Popen[str]) -> dict[str, Any]:
    output, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    return json.loads(output)


def wait_for(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)
    return found


def records(root: Path) -> list[Path]:
    return list((root / "results/fake/servers").glob("*.json"))


def without_origin(merged: dict[str, Any]) -> dict[str, Any]:
    """A merged result without what tells where and when it was made."""
    episodes = [
        {key: value for key, value in episode.items() if key != "provenance"}
        for episode in merged["episodes"]
    ]
    plain = {key: value for key, value in merged.items() if key != "provenance"}
    return {**plain, "episodes": episodes}


def test_two_shards_and_a_server_that_is_killed(start, faults, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HEARTH_FAKE_STEP", "0.2")
    launcher = start(instances=4, launcher=SHARED)
    # Both shards play when the server is killed.
    wait_for(lambda: (faults / "played").exists() and played(faults) >= 2)
    (record,) = records(tmp_path)
    assert stat.S_IMODE(record.stat().st_mode) == 0o600
    first = json.loads(record.read_text())
    assert first["host"] == "127.0.0.1" and len(first["key"]) >= 32
    os.kill(int((faults / "server_pid").read_text()), signal.SIGKILL)
    second = wait_for(lambda: other_record(tmp_path, first))
    assert second["key"] != first["key"]
    merged = finish(launcher)
    attempts = [episode_attempts(tmp_path, episode) for episode in merged["episodes"]]
    assert merged["complete"] and max(attempts) == 2, "what was cut off was played again"
    assert not records(tmp_path) and not processes_of(tmp_path), (
        "the last launcher ended the server"
    )
    assert without_origin(unshared(tmp_path, monkeypatch)) == without_origin(merged)


def unshared(root: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The same evaluation in place, with a server of its own."""
    monkeypatch.setenv("HEARTH_FAKE_STEP", "0")
    evaluation = {"policy": "main", "instances": 4, "workers": 1, "video": False}
    values = {
        "experiment": "fake", "results": str(root / "alone"), "benchmark": "household",
        "demonstrations": {}, "runs": {"main": {}}, "evaluations": {"trained": evaluation},
    }  # fmt: skip
    made = validate_settings(values, source="test")
    write_json(Results.of(made).bundle("main") / "provenance.json", {"hash": HASH})
    evaluate_task(made, "trained", TASK, Backends("evaluation_fakes:environment", COMMAND))
    return merge_and_write(made, "trained", TASK)


def played(faults: Path) -> int:
    return len((faults / "played").read_text().splitlines())


def other_record(root: Path, first: dict[str, Any]) -> dict[str, Any] | None:
    for path in records(root):
        with contextlib.suppress(OSError):
            found = json.loads(path.read_text())
            return found if found != first else None
    return None


def episode_attempts(root: Path, episode: dict[str, Any]) -> int:
    name = f"turning_on_radio_{episode['instance_id']}_{episode['rollout_id']}.json"
    path = root / "results/fake/evaluation/trained/episodes" / name
    return json.loads(path.read_text())["provenance"]["attempts"]


def processes_of(folder: Path) -> list[psutil.Process]:
    found = []
    for one in psutil.process_iter(["cmdline"]):
        if any(str(folder / "results") in part for part in one.info["cmdline"] or []):
            found.append(one)
    return found


def test_a_server_whose_launcher_was_killed_ends_by_itself(start, faults, tmp_path) -> None:
    launcher = start(instances=1, launcher={**SHARED, "shared_server": {"idle_minutes": 0.05}})
    wait_for(lambda: records(tmp_path))
    os.kill(launcher.pid, signal.SIGKILL)
    launcher.communicate()
    server = int((faults / "server_pid").read_text())
    wait_for(lambda: not records(tmp_path) and not psutil.pid_exists(server))
    wait_for(lambda: not processes_of(tmp_path))
    assert list((tmp_path / "results/fake/evaluation/trained/episodes").glob("*.json"))


@pytest.fixture
def settings(tmp_path: Path, faults: Path) -> Callable[..., Settings]:
    """Makes settings whose launcher shares servers."""

    def make(**changes: Any) -> Settings:
        values = {
            "experiment": "fake", "results": str(tmp_path / "results"), "benchmark": "household",
            "demonstrations": {}, "runs": {"main": {}},
            "evaluations": {"trained": {}, "again": {}, "slow": {"runtime": {"flow_steps": 9}}},
            "launcher": {"executor": "local", **SHARED}, **changes,
        }  # fmt: skip
        made = validate_settings(values, source="test")
        path = Results.of(made).bundle("main") / "provenance.json"
        write_json(path, {"hash": HASH})
        return made

    return make


def job_of(settings: Settings, evaluation: str = "trained") -> ServerJob:
    config = str(freeze_settings(settings))
    return server_job(settings, config, evaluation, "main", {"policy_hash": HASH}, COMMAND)


def test_tasks_and_evaluations_with_one_policy_and_runtime_share(settings) -> None:
    def key(evaluation: str, task: str, **changes: Any) -> str:
        server = EvaluationUnit(settings(**changes), evaluation, task).server
        assert server is not None
        return server.key

    keys = {key("trained", "turning_on_radio"), key("again", "bringing_water")}
    assert len(keys) == 1
    keys |= {key("slow", "turning_on_radio"), key("trained", "turning_on_radio", seed=1)}
    assert len(keys) == 3


def test_launchers_that_come_at_once_submit_one_server(settings, tmp_path) -> None:
    made = settings()
    job = job_of(made)
    _, folder = server_place(made, job)
    submitted: list[str] = []

    class Counting(Local):
        def submit(self, works: Any, nice: int) -> list[str]:
            ids = super().submit(works, nice)
            submitted.extend(ids)
            return ids

    servers = [SharedServer(job, folder, Counting(folder, JobResources()), 3) for _ in range(4)]
    with contextlib.ExitStack() as stack:
        for server in servers:
            stack.enter_context(server)
        threads = [threading.Thread(target=server.ensure) for server in servers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(submitted) == 1
        assert servers[0].leave() == "", "others need it"
        assert servers[0].executor.active()
    with SharedServer(job, folder, Local(folder, JobResources()), 3) as last:
        assert f"cancelled {submitted[0]}" in last.leave()
    assert not servers[0].executor.active()


def test_the_official_evaluators_share_a_server_too(settings) -> None:
    made = settings(benchmark="behavior-2025", demonstrations=None, data={"dataset": "data"})
    unit = EvaluationUnit(made, "trained", "turning_on_radio")
    assert unit.server is not None
    ((shard,), _) = unit.works([(1, 0)], 1)
    assert shard.server == unit.server.record


@pytest.mark.parametrize(
    ("launcher", "message"),
    [
        ({"shared_server": {"job": {"nodes": 2}}}, r"shared_server.job.nodes 2: .*valid: 1"),
        ({"server": "shared"}, r"'shared' is a job, but executor 'none'.*local, slurm"),
    ],
)
def test_a_server_that_cannot_be_is_refused(launcher: dict[str, Any], message: str) -> None:
    values = {"experiment": "e", "benchmark": "household", "launcher": launcher}
    with pytest.raises(SettingsError, match=message):
        validate_settings(values, source="test")


class NoPlace:
    """An executor whose jobs have ended as soon as they were submitted."""

    def __init__(self, *jobs: QueuedJob) -> None:
        self.jobs, self.submitted = list(jobs), 0

    def submit(self, works: Any, nice: int) -> list[str]:
        self.submitted += 1
        return [str(self.submitted)]

    def active(self, newer_than: float = 0.0) -> list[QueuedJob]:
        return self.jobs

    def cancel(self, ids: Any) -> None:
        self.jobs = []

    def explain(self, ids: Any) -> str:
        return "FAILED on n1"


def test_servers_that_end_before_they_serve_end_the_launcher(settings) -> None:
    made = settings()
    job = job_of(made)
    _, folder = server_place(made, job)
    place = NoPlace()
    with SharedServer(job, folder, place, 2) as server:
        server.ensure()
        server.ensure()
        Path(job.served).touch()  # the second one served and was killed
        for _ in range(2):
            server.ensure()
        (folder / "4_0_log.out").write_text("no memory left")
        with pytest.raises(LaunchError, match=r"(?s)2 jobs .* 4: FAILED on n1 no memory left"):
            server.ensure()
    with SharedServer(job, folder, place, 2) as later:
        assert "submitted" in later.ensure(), "a new launcher tries again"


def test_a_server_that_can_never_run_ends_the_launcher(settings) -> None:
    made = settings()
    job = job_of(made)
    place = NoPlace(QueuedJob("7", "PENDING", "x", "PartitionTimeLimit"))
    with (
        SharedServer(job, server_place(made, job)[1], place, 2) as server,
        pytest.raises(LaunchError, match="job 7, cannot run: PartitionTimeLimit"),
    ):
        server.ensure()


def test_a_job_says_why_it_did_not_serve(settings, faults, monkeypatch) -> None:
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)
    job = job_of(settings())
    (faults / "server_start").touch()
    failed = job()
    assert "the server has no memory left" in failed["error"] and not failed["final"]
    (faults / "server_start").unlink()
    failed = dataclasses.replace(job, policy_hash="earlier")()
    assert f"the bundle of run 'main' is {HASH} by now, not earlier" in failed["error"]
    assert not Path(job.record).exists() and not Path(job.served).exists()


def test_a_server_that_hangs_ends_and_a_busy_one_does_not(settings, tmp_path, monkeypatch) -> None:
    job = dataclasses.replace(job_of(settings()), idle_seconds=0.2, answer_seconds=0.4)
    alive = SimpleNamespace(process=SimpleNamespace(poll=lambda: None))
    record = ServerRecord("127.0.0.1", 1, "a-key-for-all-shards", HASH, "1 on n1")

    def watch(*seen: Activity) -> float:
        """Seconds until the end; the server shows these states in turn, the last one for ever."""
        states, started = list(seen), time.monotonic()
        monkeypatch.setattr(
            process, "read_activity",
            lambda address: {1: states.pop(0) if len(states) > 1 else states[0]},
        )  # fmt: skip
        job._watch(alive, record)
        return time.monotonic() - started

    busy = [Activity(answers=count, waiting=1) for count in range(20)]
    assert watch(*busy, Activity(answers=20)) > 20 * 0.05
    with pytest.raises(ServingError, match="gave no answer for"):
        watch(Activity(answers=3, waiting=1))
