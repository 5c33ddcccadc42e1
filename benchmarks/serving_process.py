"""A policy server of an untrained tiny network, as a process, for the benchmarks of serving."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from runtime_overhead import HORIZON, empty_bundle

from hearth.benchmark import load_benchmark
from hearth.core.files import read_json
from hearth.core.sections import ModelSettings, RuntimeSettings
from hearth.policy import bundle as bundles
from hearth.policy.network import NetworkDefinition
from hearth.serving import wire

IMAGE_SIZE = 64  # pixels, of the tiny network and of the observations
_START_SECONDS = 600.0


@dataclass(frozen=True)
class ServerProcess:
    """A server that listens on `port`."""

    port: int
    process: subprocess.Popen

    @property
    def memory(self) -> float:
        """Resident memory in MiB."""
        return psutil.Process(self.process.pid).memory_info().rss / 2**20

    @property
    def processor_seconds(self) -> float:
        """User and system time so far."""
        times = psutil.Process(self.process.pid).cpu_times()
        return times.user + times.system


def write_untrained_bundle(folder: Path) -> Path:
    """A bundle of the tiny network with random weights; returns its folder."""
    from hearth.model import presets

    benchmark, model = load_benchmark("household"), ModelSettings(preset="tiny")
    facts = empty_bundle(benchmark)
    config = presets.config(model, benchmark, IMAGE_SIZE, HORIZON)
    random = np.random.default_rng(0)
    parameters = {
        name: 0.1 * random.standard_normal(leaf.shape, np.float32)
        for name, leaf in NetworkDefinition(config).shapes.items()
    }
    path = folder / "policy"
    bundles.write(
        path, config=config, model=model, tasks=facts.tasks, benchmark=benchmark,
        statistics=facts.statistics, parameters=parameters,
        provenance={"runtime": RuntimeSettings().model_dump(mode="json"), "run": "untrained"},
    )  # fmt: skip
    return path


def observation(seed: int) -> dict[str, np.ndarray]:
    """An official observation of random content."""
    benchmark, random = load_benchmark("household"), np.random.default_rng(seed)
    images = {
        camera.observation_key: random.integers(0, 256, (IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)
        for camera in benchmark.cameras.values()
    }
    proprioception = random.uniform(0.0, 0.05, benchmark.robot.proprioception_width)
    return {
        **images,
        benchmark.robot.proprioception_key: proprioception.astype(np.float32),
        "task_id": np.array([benchmark.tasks[seed % len(benchmark.tasks)].index]),
    }


def packed_observation(seed: int) -> bytes:
    """The frame of one observation."""
    return wire.pack(observation(seed))


@contextlib.contextmanager
def running_server(
    bundle: Path, *, serving: dict[str, Any], runtime: dict[str, Any] | None = None
) -> Iterator[ServerProcess]:
    """Start ``python -m hearth.serving`` and wait until it listens; ends with SIGTERM.

    Raises:
        RuntimeError: it ended before it listened, or with another code than 0.
    """
    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder) / "ready.json"
        command = [
            sys.executable, "-m", "hearth.serving", "--policy", str(bundle), "--port", "0",
            "--ready-file", str(ready), "--serving", json.dumps(serving),
            "--runtime", json.dumps(runtime or {}),
        ]  # fmt: skip
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            try:
                deadline = time.monotonic() + _START_SECONDS
                while not ready.exists():
                    if process.poll() is not None or time.monotonic() > deadline:
                        raise RuntimeError(f"the server did not start: {process.returncode}")
                    time.sleep(0.1)
                yield ServerProcess(read_json(ready)["port"], process)
                process.send_signal(signal.SIGTERM)
                if code := process.wait(60):
                    raise RuntimeError(f"the server ended with {code}")
            finally:
                process.kill()
