"""Serving policy bundles: load and compile once, give every connection its own episode."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from pydantic import ValidationError

from hearth.benchmark import Benchmark
from hearth.core.errors import SettingsError
from hearth.core.files import hash_json, read_json
from hearth.core.sections import RuntimeSettings, ServingSettings
from hearth.core.seeds import policy_seed
from hearth.serving.access import Keys
from hearth.serving.episodes import PolicyLike
from hearth.serving.server import check_free, serve

if TYPE_CHECKING:
    from hearth.policy.runtime import Policy
    from hearth.policy.switching import SwitchingPolicy

Seed = int | Callable[[int], int]  # of the noise, or what gives it for the index of a task


def serve_policy(
    path: Path,
    host: str,
    port: int | Sequence[int],
    *,
    task: str | None = None,
    runtime: dict[str, Any] | None = None,
    serving: dict[str, Any] | None = None,
    seed: int = 0,
    seed_by_task: bool = False,
    ready_file: Path | None = None,
    keys: Keys | None = None,
    one_evaluator_per_port: bool = False,
    predictions: Path | None = None,
) -> None:
    """Load what `path` names and serve it until SIGTERM.

    Args:
        path: the folder of a bundle, or a file that gives one per task (`SwitchedPolicy`).
        host, port: where to listen, on one port or several; port 0 takes a free one.
        task: the task of observations without ``task_id``.
        runtime: overrides of a bundle's own runtime section.
        serving: batches and limits, where they are not the defaults of `ServingSettings`.
        seed: seed of the policy's sampling noise.
        seed_by_task: `seed` is an experiment's; each task's own follows from it as in evaluations.
        ready_file, keys, one_evaluator_per_port, predictions: see `hearth.serving.server.serve`.

    Raises:
        BundleError: a bundle is incomplete or changed.
        SettingsError: a runtime or serving setting or the file is not valid.
        ServingError: the port is in use, or the policy does not know `task`.
    """
    import jax

    settings = serving_settings(serving or {})
    check_free(host, [port] if isinstance(port, int) else port)
    drawn = partial(policy_seed, seed) if seed_by_task else seed
    policies = policies_of(path, runtime or {}, drawn, task)
    policies.warm_up(settings.batch_sizes)
    metadata = {
        "hearth": version("hearth"),
        "policy_hash": policies.hash,
        "benchmark": policies.benchmark.name,
        "tasks": list(policies.tasks) if task is None else [task],
        "device": str(jax.devices()[0]),
        "batch_sizes": list(settings.batch_sizes),
    }
    serve(
        policies.make, host, port, metadata=metadata, ready_file=ready_file, settings=settings,
        keys=keys, one_evaluator_per_port=one_evaluator_per_port, predictions=predictions,
    )  # fmt: skip


class Policies(Protocol):
    """Where the policies of all connections come from."""

    hash: str
    benchmark: Benchmark
    tasks: tuple[str, ...]

    def make(self) -> PolicyLike:
        """A policy for one connection."""
        ...

    def warm_up(self, sizes: Sequence[int] = (1,)) -> None:
        """Compile for these batch sizes: it takes seconds, and no client shall wait for it."""
        ...


def policies_of(path: Path, runtime: dict[str, Any], seed: Seed, task: str | None) -> Policies:
    """The policies of a bundle's folder, or of a file with one bundle per task; see `serve_policy`.

    Raises:
        BundleError: a bundle is incomplete or changed.
        SettingsError: a runtime setting or the file is not valid.
    """
    source = _Switched if path.is_file() else _Single
    return source(path, runtime, seed, task)


class _Single:
    """Policies of one bundle."""

    def __init__(self, path: Path, runtime: dict[str, Any], seed: Seed, task: str | None) -> None:
        from hearth.policy import bundle as bundles
        from hearth.policy.runner import PolicyRunner

        bundle = bundles.load(path)
        self.hash, self.benchmark, self.tasks = bundle.hash, bundle.benchmark, bundle.tasks
        self._settings = _runtime(bundle.runtime, runtime)
        self._runner, self._seed, self._task = PolicyRunner(bundle), seed, task

    def make(self) -> Policy:
        from hearth.policy.runtime import Policy

        return Policy(self._runner, self._settings, self._seed, task=self._task)

    def warm_up(self, sizes: Sequence[int] = (1,)) -> None:
        _compile(self.make(), _blank(self.benchmark, self._task or self.tasks[0]), sizes)


class _Switched:
    """Policies that choose the bundle of their episode's task."""

    def __init__(self, path: Path, runtime: dict[str, Any], seed: Seed, task: str | None) -> None:
        from hearth.policy.switching import BundleShelf, read_switched_policy

        self._shelf = BundleShelf(read_switched_policy(path))
        self.benchmark, self.tasks = self._shelf.benchmark, tuple(self._shelf.folders)
        self.hash = hash_json(
            {
                name: read_json(folder / "provenance.json")["hash"]
                for name, folder in self._shelf.folders.items()
            }
        )
        self._overrides, self._seed, self._task = runtime, seed, task

    def make(self) -> SwitchingPolicy:
        from hearth.policy.switching import SwitchingPolicy

        return SwitchingPolicy(
            self._shelf,
            lambda bundle: _runtime(bundle.runtime, self._overrides),
            self._seed,
            task=self._task,
        )

    def warm_up(self, sizes: Sequence[int] = (1,)) -> None:
        # What does not fit in memory beside them waits for its first episode.
        for name in self.tasks if self._task is None else (self._task,):
            folder = self._shelf.folders.get(name)
            if folder is None or self._shelf.has_room(folder):
                _compile(self.make(), _blank(self.benchmark, name), sizes)


def serving_settings(values: dict[str, Any]) -> ServingSettings:
    """Serving settings from their JSON form.

    Raises:
        SettingsError: an unknown key or a value that is not valid.
    """
    try:
        return ServingSettings.model_validate(values)
    except ValidationError as error:
        raise SettingsError(f"serving settings {values}: {error}") from error


def _compile(
    policy: Policy | SwitchingPolicy, observation: dict[str, np.ndarray], sizes: Sequence[int]
) -> None:
    from hearth.policy.runner import Request

    due = policy.prepare(observation)
    assert isinstance(due, Request), "an episode begins with a prediction"
    for size in sizes:
        prediction = policy.predictor.predict_batch([due], size)[0]
    policy.finish(prediction)


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
