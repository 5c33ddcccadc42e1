"""The launcher with processes of this machine: the same loop as on a cluster."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import psutil


def played(faults: Path) -> Counter[str]:
    path = faults / "played"
    return Counter(line.split()[0] for line in path.read_text().splitlines())


def finish(process: subprocess.Popen[str]) -> dict:
    output, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    return json.loads(output)


def wait_for(condition, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def processes_of(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if any(str(folder / "results") in part for part in process.info["cmdline"] or []):
            found.append(process)
    return found


def test_kill_9_then_adoption_then_nothing_to_do(start, faults, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HEARTH_FAKE_STEP", "0.2")
    episodes = tmp_path / "results/fake/evaluation/trained/episodes"
    first = start(instances=4)
    wait_for(lambda: list(episodes.glob("*.json")))
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    merged = finish(start(instances=4))
    assert merged["complete"] and len(merged["episodes"]) == 4
    assert set(played(faults).values()) == {1}, "no episode was played twice"
    assert finish(start(instances=4))["complete"]
    assert sum(played(faults).values()) == 4
    assert not list((tmp_path / "results").rglob("*.pkl"))


def test_control_c_ends_the_processes(start, faults, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HEARTH_FAKE_STEP", "5")
    launcher = start(instances=2)
    wait_for(lambda: (faults / "played").exists())
    launcher.send_signal(signal.SIGINT)
    launcher.communicate(timeout=60)
    assert launcher.returncode != 0
    wait_for(lambda: not processes_of(tmp_path))


def test_a_job_that_always_fails_ends_the_launcher(start, faults) -> None:
    (faults / "server_start").touch()
    launcher = start(instances=2, launcher={"attempts": 2, "shards": 1})
    _, said = launcher.communicate(timeout=120)
    assert launcher.returncode == 1
    assert "2 jobs in a row ended without progress" in said
    assert "the server has no memory left" in said


def test_an_error_that_would_come_again_is_not_tried_again(start, faults, tmp_path) -> None:
    launcher = start(instances=2, launcher={"shards": 1, "evaluate": {"minutes": 5}})
    # The settings that the job reads are gone.
    frozen = tmp_path / "results" / "fake" / "settings"
    wait_for(lambda: list(frozen.glob("*.yaml")))
    for path in frozen.glob("*.yaml"):
        path.unlink()
    _, said = launcher.communicate(timeout=120)
    assert launcher.returncode == 1 and "no configuration file" in said, said
    assert said.count("submitting") == 1
