"""Processes that hang end by themselves, with a code of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hearth.training.watchdog import EXIT_CODE

_SLEEP = """
import time
from hearth.training.watchdog import watchdog
with watchdog("run 'main'") as dog:
    for number in range(4):
        dog.expect(f"step {number + 1} (batch {number})", 2.0)
        time.sleep(0.1)
    print("lives", flush=True)
    time.sleep({seconds})
"""

_STEP = """
import sys, time
from pathlib import Path
from types import SimpleNamespace
import jax
import jax.numpy as jnp
from tests_training.conftest import make_job, make_settings
from hearth.training.interrupt import Interrupt
from hearth.training.scalars import Scalars
from hearth.training.trainer import Trainer
from hearth.training.watchdog import watchdog

hang = jax.jit(lambda x: jax.pure_callback(lambda v: (time.sleep(600), v)[1], x, x))
root = Path(sys.argv[1])
job = make_job(make_settings(root, checkpoint_every=100, log_every=100, step_timeout_seconds=5))


def step(state, batch):
    state.step += 1
    metrics = {"total": jnp.ones(()), "gradient_norm": jnp.ones(()), "learning_rate": jnp.ones(())}
    if state.step == 5:  # as a collective does that waits for a node which is lost
        metrics["total"] = hang(metrics["total"])
    return state, metrics


with watchdog("run 'main'") as dog, Scalars(root / "events", root / "lines", 0) as scalars:
    trainer = Trainer(job, SimpleNamespace(steps=[]), scalars, Interrupt(), dog, 0.0)
    trainer.run(SimpleNamespace(step=0), step, lambda batch: batch)
"""


def run(code: str, *arguments: str, modules: Path | None = None) -> subprocess.CompletedProcess:
    environment = {**os.environ, **({"PYTHONPATH": str(modules)} if modules else {})}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=environment, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(("seconds", "code"), [("0", 0), ("600", EXIT_CODE)])
def test_silence_ends_the_process(seconds: str, code: int) -> None:
    done = run(_SLEEP.replace("{seconds}", seconds))
    assert done.returncode == code, done.stderr
    assert "lives" in done.stdout
    if code:
        assert "run 'main' hangs: step 4 (batch 3) did not end within 2 s" in done.stderr
        assert "File " in done.stderr, "the stack of every thread"


def test_a_stopped_process_has_not_hung() -> None:
    """As by Ctrl-Z: the time until it goes on does not count."""
    process = subprocess.Popen(
        [sys.executable, "-c", _SLEEP.replace("{seconds}", "0.5")],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None and process.stdout.readline() == "lives\n"
    process.send_signal(signal.SIGSTOP)
    time.sleep(4.0)
    process.send_signal(signal.SIGCONT)
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_a_hanging_step_is_named(tmp_path: Path) -> None:
    link = tmp_path / "modules" / "tests_training"
    link.parent.mkdir()
    link.symlink_to(Path(__file__).parent)
    done = run(_STEP, str(tmp_path / "results"), modules=link.parent)
    assert done.returncode == EXIT_CODE, done.stderr
    assert "hangs: step 5 (batch 4) did not end within 5 s" in done.stderr
