"""Tests that are killed by force leave no cluster behind for longer than until the next ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.conftest import ROOT
from tests.cluster.leftovers import clear_dead_clusters, processes_of
from tests.cluster.slurm import wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("several nodes")]

_START = """
import time
from tests.cluster.slurm import Slurm
cluster = Slurm()
cluster.start()
job = cluster.run("sbatch", "--parsable", "-p", "cpu", "--wrap", "sleep 600", "-o", "/dev/null")
while cluster.run("squeue", "-h", "-j", job.strip(), "-o", "%T").strip() != "RUNNING":
    time.sleep(0.2)
print(cluster.folder, flush=True)
time.sleep(600)
"""


def test_what_a_killed_test_run_left_is_cleared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_CONF", raising=False)
    environment = {**os.environ, "PYTEST_XDIST_WORKER": "gw5"}  # ports of its own
    with subprocess.Popen(
        [sys.executable, "-c", _START], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as started:
        assert started.stdout is not None
        folder = Path(started.stdout.readline().strip())
        assert folder.is_dir() and folder.name.startswith("hearth-slurm-")
        clear_dead_clusters()
        assert folder.is_dir(), "it lives"
        started.send_signal(signal.SIGKILL)
    orphans = {process.name() for process in processes_of(folder)}
    assert {"slurmstepd", "sleep"} <= orphans
    clear_dead_clusters()
    wait_for(lambda: not processes_of(folder), 20, "their end")
    assert not folder.exists()
