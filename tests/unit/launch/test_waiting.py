"""A launcher of Slurm's jobs while it waits, with stand-ins for Slurm's commands."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[3]
COMMANDS = {
    # Two jobs of an array that run until they are cancelled.
    "sbatch": """[ "$1" = --version ] && exit
cp "$1" submitted
name=$(sed -n 's/^#SBATCH --job-name=//p' "$1")
for part in 0 1; do echo "62_$part|RUNNING|$name|None"; done > queue
echo "Submitted batch job 62"
""",
    "squeue": "cat queue 2> /dev/null; exit 0\n",
    "scancel": 'echo "$@" > cancelled; rm queue\n',
    "sacct": "exit 0\n",
}


@pytest.fixture
def commands(tmp_path: Path) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in COMMANDS.items():
        (folder / name).write_text(f"#!/bin/sh\ncd {tmp_path}\n{text}")
        (folder / name).chmod(0o755)
    return folder


@pytest.fixture
def launcher(tmp_path: Path, commands: Path) -> Iterator[subprocess.Popen[str]]:
    overrides = [
        f"results={tmp_path}/results", "launcher.executor=slurm", "launcher.shards=2",
        "launcher.poll_seconds=0.5",
    ]  # fmt: skip
    words = [word for override in overrides for word in ("--set", override)]
    process = subprocess.Popen(
        [sys.executable, "-m", "hearth", "launch", "evaluate", "--config",
         str(ROOT / "config/household.yaml"), "--evaluation", "expert", "--task",
         "turning_on_radio", *words],
        env={**os.environ, "PATH": f"{commands}:{os.environ['PATH']}"},
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    yield process
    process.kill()
    process.communicate()


def wait_until_it_waits(launcher: subprocess.Popen[str]) -> None:
    assert launcher.stderr is not None
    for line in launcher.stderr:
        if "2 jobs run" in line:
            return
    raise AssertionError("it ended")


def test_it_is_light(launcher: subprocess.Popen[str]) -> None:
    wait_until_it_waits(launcher)
    process = psutil.Process(launcher.pid)
    libraries = " ".join(part.path for part in process.memory_maps())
    for heavy in ("jax", "numpy", "h5py", "mujoco", "psutil"):
        assert f"/{heavy}/" not in libraries
    assert process.memory_full_info().uss < 40e6
    before = process.cpu_times()
    time.sleep(2.0)
    after = process.cpu_times()
    # It does not spin: with two looks a second instead of one in 15 seconds.
    assert after.user + after.system - before.user - before.system < 1.0


def test_control_c_cancels_the_jobs_of_the_array(
    launcher: subprocess.Popen[str], tmp_path: Path
) -> None:
    wait_until_it_waits(launcher)
    assert "#SBATCH --array=0-1" in (tmp_path / "submitted").read_text()
    launcher.send_signal(signal.SIGINT)
    _, said = launcher.communicate(timeout=60)
    assert launcher.returncode == 130, said
    assert (tmp_path / "cancelled").read_text().split() == ["62_0", "62_1"]


def test_a_second_launcher_adopts_the_jobs_and_submits_nothing(
    launcher: subprocess.Popen[str], commands: Path, tmp_path: Path
) -> None:
    wait_until_it_waits(launcher)
    launcher.kill()
    launcher.wait()
    (tmp_path / "submitted").unlink()
    again = subprocess.Popen(
        words_of(launcher), env={**os.environ, "PATH": f"{commands}:{os.environ['PATH']}"},
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        wait_until_it_waits(again)
        assert not (tmp_path / "submitted").exists()
    finally:
        again.kill()
        again.communicate()


def words_of(launcher: subprocess.Popen[str]) -> list[str]:
    assert isinstance(launcher.args, list)
    return [str(word) for word in launcher.args]
