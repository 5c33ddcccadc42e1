"""A tiny run on made-up batches: a network of three 16-pixel images that compiles in seconds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hearth.benchmark import Benchmark, load_benchmark
from hearth.core.results import Results
from hearth.core.seeds import generator
from hearth.core.settings import Settings
from hearth.core.statistics import Statistics
from hearth.training.job import Job
from hearth.training.loop import fit

HORIZON, IMAGE_SIZE, BATCH = 6, 16, 4
TASK, TASK_INDEX, STAGES = "picking_up_trash", 1, 3  # as in the benchmark file


def make_settings(root: Path, *, protect: bool = True, seed: int = 0, **run: Any) -> Settings:
    chosen = {
        "steps": 6, "batch_size": BATCH, "warmup_steps": 2, "checkpoint_every": 3, "log_every": 1,
        **run,
    }  # fmt: skip
    return Settings.model_validate(
        {
            "experiment": "test", "results": str(root), "benchmark": "household", "seed": seed,
            "protect": protect, "tasks": [TASK], "demonstrations": {},
            "data": {"image_size": IMAGE_SIZE}, "statistics": {"horizon": HORIZON},
            "model": {"flow_samples": 2}, "runs": {"main": chosen},
        }
    )  # fmt: skip


def make_statistics(benchmark: Benchmark) -> Statistics:
    width = benchmark.robot.action_width
    zeros, ones = np.zeros(width), np.ones(width)
    return Statistics(
        robot=benchmark.robot.name, benchmark=benchmark.name, tasks=(TASK,), source_hash="source",
        state_mean=zeros, state_std=ones, state_q01=-ones, state_q99=ones,
        action_mean=zeros, action_std=ones, action_q01=-ones, action_q99=ones,
        chunk_mean=np.zeros((HORIZON, width)), chunk_std=np.ones((HORIZON, width)),
        correlation=np.eye(HORIZON * width),
        gripper_closed=np.zeros((benchmark.task_count, 15, 2), dtype=bool),
        per_timestep=benchmark.robot.per_timestep_mask,
        delta=benchmark.robot.delta_mask,
    )  # fmt: skip


def make_batch(step: int, batch_size: int = BATCH) -> dict[str, Any]:
    """A function of the step alone; the state tells the actions, so that there is a signal."""
    random = generator(5, "test batch", step)
    state = random.normal(size=(batch_size, 23)).astype(np.float32)
    return {
        "images": {
            name: random.integers(0, 256, (batch_size, IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.uint8)
            for name in ("head", "left_wrist", "right_wrist")
        },
        "state": state,
        "actions": np.repeat(state[:, None], HORIZON, axis=1),
        "action_mask": np.ones((batch_size, HORIZON), dtype=bool),
        "task": np.full(batch_size, TASK_INDEX, dtype=np.int32),
        "stage": random.integers(0, STAGES, batch_size).astype(np.int32),
    }


def batches(start: int) -> Iterator[dict[str, Any]]:
    step = start
    while True:
        yield make_batch(step)
        step += 1


def make_job(settings: Settings, source: Any = batches) -> Job:
    benchmark = load_benchmark("household")
    return Job(
        settings=settings, name="main", results=Results.of(settings), benchmark=benchmark,
        tasks=(TASK,), statistics=make_statistics(benchmark), batches=source,
    )  # fmt: skip


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six steps without interruption, on one device."""
    root = tmp_path_factory.mktemp("reference")
    fit(make_job(make_settings(root)))
    return root


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make_settings(tmp_path)
