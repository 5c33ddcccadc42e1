"""Serving a policy bundle: load and compile it once, give every connection its own episode."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from hearth.benchmark import Benchmark
from hearth.core.errors import SettingsError
from hearth.core.sections import RuntimeSettings
from hearth.serving.server import serve


def serve_policy(
    path: Path,
    host: str,
    port: int,
    *,
    task: str | None = None,
    runtime: dict[str, Any] | None = None,
    seed: int = 0,
    ready_file: Path | None = None,
) -> None:
    """Load the bundle at `path` and serve it until SIGTERM.

    Args:
        path: the bundle's folder.
        host, port: where to listen; port 0 takes a free one.
        task: the task of observations without ``task_id``.
        runtime: overrides of the bundle's own runtime section.
        seed: seed of the policy's sampling noise.
        ready_file: where to write ``{host, port}`` once the port is open.

    Raises:
        BundleError: the bundle is incomplete or changed.
        SettingsError: a runtime setting is not valid.
        ServingError: the port is in use, or the policy does not know `task`.
    """
    import jax

    from hearth.policy import bundle as bundles
    from hearth.policy.runner import PolicyRunner
    from hearth.policy.runtime import Policy

    bundle = bundles.load(path)
    settings = _runtime(bundle.runtime, runtime or {})
    runner = PolicyRunner(bundle)

    def make_policy() -> Policy:
        return Policy(runner, settings, seed, task=task)

    # Compiling takes seconds: done before the port opens, so that no first client waits for it.
    make_policy().act(_blank(bundle.benchmark, task or bundle.tasks[0]))
    metadata = {
        "hearth": version("hearth"),
        "policy_hash": bundle.hash,
        "benchmark": bundle.benchmark.name,
        "tasks": list(bundle.tasks) if task is None else [task],
        "device": str(jax.devices()[0]),
    }
    serve(make_policy, host, port, metadata=metadata, ready_file=ready_file)


def _runtime(base: RuntimeSettings, overrides: dict[str, Any]) -> RuntimeSettings:
    try:
        return RuntimeSettings.model_validate({**base.model_dump(), **overrides})
    except ValidationError as error:
        raise SettingsError(f"runtime settings {overrides}: {error}") from error


def _blank(benchmark: Benchmark, task: str) -> dict[str, np.ndarray]:
    """An observation of the right keys and shapes: black images, the robot at zero."""
    images = {
        camera.observation_key: np.zeros((camera.height, camera.width, 3), np.uint8)
        for camera in benchmark.cameras.values()
    }
    proprioception = np.zeros(benchmark.robot.proprioception_width, np.float32)
    return {
        **images,
        benchmark.robot.proprioception_key: proprioception,
        "task_id": np.array([benchmark.task(task).index], np.int64),
    }
