"""`kill -9` of Snakemake in the middle: its jobs end, `--unlock` opens the folder, work goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
import yaml

from tests.workflow.conftest import CONFIG, Workflow

pytestmark = [pytest.mark.workflow, pytest.mark.xdist_group("workflow")]


def _wait(condition, seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s"
        time.sleep(0.1)


def _jobs_of(folder: Path) -> list[psutil.Process]:
    """Processes whose command line names this experiment's folder."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if any(str(folder) in part for part in process.info["cmdline"] or []):
            found.append(process)
    return found


def test_kill_9_then_unlock_then_go_on(tmp_path: Path) -> None:
    workflow = Workflow(tmp_path)
    values = {**CONFIG, "demonstrations": {"episodes_per_task": 24, "image_size": 32}}
    workflow.config.write_text(yaml.safe_dump(values))
    process = subprocess.Popen(
        workflow.command("--until", "statistics"),
        cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    tables = workflow.results / "dataset" / "data"
    _wait(lambda: len(list(tables.rglob("*.parquet"))) >= 2, 120, "the second recording")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    _wait(lambda: not _jobs_of(tmp_path), 60, "the end of the orphaned jobs")
    recorded = {path: path.stat().st_mtime_ns for path in tables.rglob("*.parquet")}
    assert 2 <= len(recorded) < 24, "the kill came too late to prove anything"

    locked = workflow.run("--until", "statistics")
    assert locked.returncode != 0
    assert "--unlock" in locked.stdout + locked.stderr
    assert workflow.run("--unlock").returncode == 0
    again = workflow.run("--until", "statistics")
    assert again.returncode == 0, again.stderr[-4000:]
    assert workflow.results.joinpath("statistics.h5").exists()
    for path, modified in recorded.items():
        assert path.stat().st_mtime_ns == modified, f"{path.name} was recorded again"
