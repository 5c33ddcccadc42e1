"""A bundle with random weights, made once."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hearth.benchmark import Benchmark, load_benchmark
from hearth.core.sections import ModelSettings, RuntimeSettings
from hearth.core.statistics import Statistics
from hearth.model import presets
from hearth.policy import bundle as bundles
from hearth.policy.network import NetworkDefinition
from hearth.policy.runner import PolicyRunner, Prediction, Request

TASKS = ("turning_on_radio", "picking_up_trash")
HORIZON, IMAGE_SIZE = 30, 32


def make_statistics(benchmark: Benchmark, seed: int = 0) -> Statistics:
    random = np.random.default_rng(seed)
    width = benchmark.robot.action_width
    flat = random.normal(size=(HORIZON * width, 40))
    covariance = flat @ flat.T + 10 * np.eye(HORIZON * width)
    scale = np.sqrt(np.diag(covariance))
    return Statistics(
        robot=benchmark.robot.name, benchmark=benchmark.name, tasks=TASKS, source_hash="source",
        state_mean=random.normal(size=width), state_std=random.uniform(0.5, 1.0, width),
        state_q01=-np.ones(width), state_q99=np.ones(width),
        action_mean=0.1 * random.normal(size=width), action_std=random.uniform(0.1, 0.2, width),
        action_q01=-np.ones(width), action_q99=np.ones(width),
        chunk_mean=0.1 * random.normal(size=(HORIZON, width)),
        chunk_std=random.uniform(0.1, 0.2, (HORIZON, width)),
        correlation=covariance / np.outer(scale, scale),
        gripper_closed=np.zeros((benchmark.task_count, 15, 2), dtype=bool),
        per_timestep=benchmark.robot.per_timestep_mask,
        delta=benchmark.robot.delta_mask,
    )  # fmt: skip


def make_parameters(config: presets.ModelConfig) -> dict[str, np.ndarray]:
    """Random weights without compiling the network's own initialisers."""
    random = np.random.default_rng(1)
    return {
        name: 0.1 * random.normal(size=leaf.shape).astype(np.float32)
        for name, leaf in NetworkDefinition(config).shapes.items()
    }


@pytest.fixture(scope="session")
def benchmark_facts() -> Benchmark:
    return load_benchmark("household")


@pytest.fixture(scope="session")
def bundle_path(benchmark_facts: Benchmark, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run") / "policy"
    model = ModelSettings(flow_samples=2)
    config = presets.config(model, benchmark_facts, IMAGE_SIZE, HORIZON)
    bundles.write(
        path,
        config=config,
        model=model,
        tasks=TASKS,
        benchmark=benchmark_facts,
        statistics=make_statistics(benchmark_facts),
        parameters=make_parameters(config),
        provenance={"runtime": RuntimeSettings().model_dump(mode="json"), "run": "main"},
    )
    return path


@pytest.fixture(scope="session")
def runner(bundle: bundles.Bundle) -> PolicyRunner:
    return PolicyRunner(bundle)


class ImaginedRunner:
    """Predicts without a network: chunks drawn from all that a request holds; keeps the requests.

    Attributes:
        asked: the requests so far.
        stages: if any, the stages to predict, one per request.
    """

    def __init__(self, bundle: bundles.Bundle, stages: Sequence[int] = ()) -> None:
        self.bundle = bundle
        self.asked: list[Request] = []
        self.stages = stages

    def predict_batch(
        self, requests: Sequence[Request], padded_size: int | None = None
    ) -> list[Prediction]:
        return [self._predict(request) for request in requests]

    def _predict(self, request: Request) -> Prediction:
        sampling = zlib.crc32(repr(replace(request.sampling, keep=0)).encode())
        random = np.random.default_rng([request.seed, request.index, request.stage, sampling])
        chunk = np.cumsum(0.1 * random.normal(size=(HORIZON, 23)), axis=0).astype(np.float32)
        chunk += request.state
        if request.kept is not None:
            chunk[: len(request.kept)] = request.kept
        logits = random.normal(size=15).astype(np.float32)
        if self.stages:
            logits[self.stages[len(self.asked)]] = 100.0
        self.asked.append(request)
        return Prediction(chunk, logits)


@pytest.fixture(scope="session")
def bundle(bundle_path: Path) -> bundles.Bundle:
    return bundles.load(bundle_path)


@pytest.fixture
def imagined(bundle: bundles.Bundle) -> ImaginedRunner:
    return ImaginedRunner(bundle)


def make_observation(benchmark: Benchmark) -> dict[str, np.ndarray]:
    """An official map with native image sizes, alpha channels, and open grippers."""
    random = np.random.default_rng(3)
    proprioception = random.uniform(-0.3, 0.3, 256)
    proprioception[193:195] = proprioception[232:234] = 0.05
    images = {
        camera.observation_key: random.integers(0, 256, (48, 64, 4), dtype=np.uint8)
        for camera in benchmark.cameras.values()
    }
    return {**images, "robot_r1::proprio": proprioception, "task_id": np.array([1])}


@pytest.fixture
def observation(benchmark_facts: Benchmark) -> dict[str, np.ndarray]:
    """An observation that a test may change."""
    return make_observation(benchmark_facts)


@pytest.fixture(scope="session")
def fixed_observation(benchmark_facts: Benchmark) -> dict[str, np.ndarray]:
    """An observation that no test changes."""
    return make_observation(benchmark_facts)
