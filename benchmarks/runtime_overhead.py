"""Milliseconds that a policy's `act` takes outside the network, and their ratio against a plain
wrapper: one that resizes every camera image with Pillow at every step, as public servers do.

    python benchmarks/runtime_overhead.py [--benchmark behavior-2025] [--chunks 12]

The network is replaced by a chunk that is ready at once; everything else is the real runtime with
the report's settings (26 actions in 20 steps, inpainting, voting, gripper rule). Observations hold
the evaluator's native images, uint8 with an alpha channel (one of 720x720 and two of 480x480).
Native images are resized on the device that runs the network: this share is printed by itself, for
the default device of this machine.
Both are timed in turns within one run, so a machine that others use slows both alike.
CPU time (of all threads) says what a call costs where wall time mostly says who else is computing.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import numpy as np
from PIL import Image

from hearth.benchmark import Benchmark, load_benchmark
from hearth.core.sections import ModelSettings, RuntimeSettings
from hearth.core.statistics import Statistics
from hearth.model import presets
from hearth.policy.bundle import Bundle
from hearth.policy.resizing import resize_on_device
from hearth.policy.runner import Prediction, Request
from hearth.policy.runtime import Policy

REPORT = RuntimeSettings(actions_to_execute=26, actions_to_keep=4, compression=1.3)
HORIZON, SIZE = 30, 224


class ReadyPredictor:
    """Answers every request with a chunk that was made before."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        chunk = np.random.default_rng(0).normal(size=(HORIZON, 23)).astype(np.float32)
        self._prediction = Prediction(0.1 * chunk, np.arange(15, dtype=np.float32))

    def predict_batch(
        self, requests: Sequence[Request], padded_size: int | None = None
    ) -> list[Prediction]:
        return [self._prediction] * len(requests)


def plain_wrapper(policy: Policy) -> Callable[[dict], np.ndarray]:
    """The same policy behind a wrapper that first copies and resizes all images with Pillow."""
    keys = [camera.observation_key for camera in policy.bundle.benchmark.cameras.values()]

    def act(observation: dict) -> np.ndarray:
        small = dict(observation)
        for key in keys:
            picture = Image.fromarray(np.ascontiguousarray(observation[key][..., :3]))
            small[key] = np.asarray(picture.resize((SIZE, SIZE), Image.Resampling.BILINEAR))
        return policy.act(small)

    return act


def empty_bundle(benchmark: Benchmark) -> Bundle:
    """A bundle without parameters."""
    width, size = benchmark.robot.action_width, HORIZON * benchmark.robot.action_width
    zeros, ones = np.zeros(width), np.ones(width)
    statistics = Statistics(
        robot=benchmark.robot.name, benchmark=benchmark.name, tasks=benchmark.task_names,
        source_hash="none", state_mean=zeros, state_std=ones, state_q01=-ones, state_q99=ones,
        action_mean=zeros, action_std=ones, action_q01=-ones, action_q99=ones,
        chunk_mean=np.zeros((HORIZON, width)), chunk_std=np.ones((HORIZON, width)),
        correlation=np.eye(size), gripper_closed=np.zeros((benchmark.task_count, 15, 2), bool),
        per_timestep=benchmark.robot.per_timestep_mask, delta=benchmark.robot.delta_mask,
    )  # fmt: skip
    model = ModelSettings()
    return Bundle(
        path=Path("none"), hash="none", config=presets.config(model, benchmark, SIZE, HORIZON),
        model=model, image_size=SIZE, tasks=benchmark.task_names, benchmark=benchmark,
        statistics=statistics, parameters={}, provenance={},
    )  # fmt: skip


def native_observation(benchmark: Benchmark) -> dict[str, np.ndarray]:
    """What the evaluator sends: native images with alpha, open grippers, the first task."""
    random = np.random.default_rng(1)
    proprioception = random.uniform(-0.3, 0.3, benchmark.robot.proprioception_width)
    for part in benchmark.robot.state:
        if part.gripper:
            proprioception[slice(*part.proprioception)] = 0.05
    images = {
        camera.observation_key: random.integers(
            0, 256, (camera.height, camera.width, 4), dtype=np.uint8
        )
        for camera in benchmark.cameras.values()
    }
    task = np.array([benchmark.tasks[0].index])
    return {**images, benchmark.robot.proprioception_key: proprioception, "task_id": task}


def at_image_size(observation: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same with images that have the network's size, as low-resolution evaluators send them."""
    return {
        key: np.ascontiguousarray(value[:SIZE, :SIZE]) if value.ndim == 3 else value
        for key, value in observation.items()
    }


Timings = dict[str, dict[str, np.ndarray]]


def measure(benchmark: Benchmark, chunks: int) -> Timings:
    """Wall and CPU milliseconds [calls, 2] of single calls, by way of acting and kind of step."""
    predictor, native = ReadyPredictor(empty_bundle(benchmark)), native_observation(benchmark)
    small = at_image_size(native)
    runtime, plain, low = (Policy(predictor, REPORT, seed=0) for _ in range(3))
    ways = {
        "runtime": (runtime, runtime.act, native),
        "plain wrapper": (plain, plain_wrapper(plain), native),
        f"runtime, {SIZE} px": (low, low.act, small),
    }
    found: dict[str, dict[str, list[tuple[float, float]]]] = {
        name: {"re-plan": [], "other step": []} for name in ways
    }
    for chunk in range(chunks + 1):
        for name, (policy, act, observation) in ways.items():
            for _ in range(20):
                before = policy.predictions
                wall, processor = time.perf_counter(), time.process_time()
                act(observation)
                spent = time.perf_counter() - wall, time.process_time() - processor
                if chunk:  # the first round fills caches
                    kind = "re-plan" if policy.predictions > before else "other step"
                    found[name][kind].append((1e3 * spent[0], 1e3 * spent[1]))
    return {
        name: {kind: np.asarray(values) for kind, values in kinds.items()}
        for name, kinds in found.items()
    }


def measure_resizing(benchmark: Benchmark, rounds: int) -> np.ndarray:
    """Wall milliseconds [rounds] of resizing the native images of a chunk on the default device."""
    native = native_observation(benchmark)
    images = [native[camera.observation_key][None] for camera in benchmark.cameras.values()]
    resize = lambda several: [resize_on_device(image, SIZE) for image in several]  # noqa: E731
    jax.block_until_ready(resize(images))
    found = []
    for _ in range(rounds):
        before = time.perf_counter()
        jax.block_until_ready(resize(images))
        found.append(1e3 * (time.perf_counter() - before))
    return np.asarray(found)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--benchmark", default="behavior-2025")
    parser.add_argument("--chunks", type=int, default=12, help="chunks of 20 steps each")
    arguments = parser.parse_args()
    found = measure(load_benchmark(arguments.benchmark), arguments.chunks)
    for name, kinds in found.items():
        for kind, values in kinds.items():
            wall, processor = np.median(values, axis=0)
            best = values.min(axis=0)
            print(
                f"{name:15} {kind:10} wall median {wall:7.3f} best {best[0]:7.3f} ms, "
                f"CPU median {processor:7.3f} best {best[1]:7.3f} ms"
            )
    resizing = measure_resizing(load_benchmark(arguments.benchmark), 50)
    print(
        f"resizing on {jax.devices()[0].device_kind}: wall median {np.median(resizing):.3f} "
        f"best {resizing.min():.3f} ms"
    )
    for kind in ("re-plan", "other step"):
        plain, runtime = found["plain wrapper"][kind], found["runtime"][kind]
        wall, processor = np.median(plain, axis=0) / np.median(runtime, axis=0)
        print(f"plain wrapper / runtime, {kind}: wall {wall:.1f}, CPU {processor:.1f}")


if __name__ == "__main__":
    main()
