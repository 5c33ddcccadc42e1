"""A policy of several bundles, one per task (report, 6.4), of which memory may hold only some.

Episodes hold no bundle: what they remember is small and stays with them, and every prediction
asks the shelf for its bundle. So any number of episodes of any tasks can be under way while the
bundles of some of them are not loaded.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
import yaml
from pydantic import ValidationError

from hearth.benchmark.benchmark import Benchmark
from hearth.core.errors import BundleError, ServingError, SettingsError, choices
from hearth.core.files import read_json
from hearth.core.sections import RuntimeSettings, SwitchedPolicy
from hearth.policy import bundle as bundles
from hearth.policy.bundle import Bundle
from hearth.policy.preprocess import task_index
from hearth.policy.record import PredictionRecord
from hearth.policy.runner import PolicyRunner, Prediction, Predictor, Request
from hearth.policy.runtime import Policy

# Of a device's memory; the rest is for the activations of predictions.
_SHARE_FOR_BUNDLES = 0.8


def read_switched_policy(path: Path) -> SwitchedPolicy:
    """The YAML or JSON file of a switched policy, its folders made absolute.

    Raises:
        SettingsError: it cannot be read, or a key or value is not valid.
    """
    try:
        settings = SwitchedPolicy.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValidationError) as error:
        raise SettingsError(f"{path} is not a policy of several bundles: {error}") from error
    folders = {task: str(path.parent / folder) for task, folder in settings.bundles.items()}
    return settings.model_copy(update={"bundles": folders})


def folder_bytes(folder: Path) -> int:
    """Bytes of a bundle's files: what its parameters take, and a little more.

    Raises:
        BundleError: there is no such folder.
    """
    if not folder.is_dir():
        raise BundleError(f"no policy bundle at {folder}: train the run first, or check the path")
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def memory_for_bundles() -> int | None:
    """Bytes of bundles that this machine's device holds beside its predictions.

    None where the device does not tell its memory: a CPU.
    """
    stats = jax.local_devices()[0].memory_stats() or {}
    return int(_SHARE_FOR_BUNDLES * stats["bytes_limit"]) if "bytes_limit" in stats else None


class BundleShelf:
    """Bundles by task. As many stay loaded as the limits allow; the least recently used goes first.

    Attributes:
        folders: task name -> folder of its bundle; tasks may share one.
        benchmark: of all the bundles.
        sizes: bytes per folder.
    """

    def __init__(
        self,
        policy: SwitchedPolicy,
        load: Callable[[Path], PolicyRunner] = lambda folder: PolicyRunner(bundles.load(folder)),
    ) -> None:
        """
        Args:
            policy: the folders and the limits; without one, what the device's memory allows.
            load: how a bundle becomes ready to predict.

        Raises:
            BundleError: a folder is missing.
            SettingsError: a bundle alone is larger than the limit, or a task is unknown.
        """
        self.folders = {task: Path(folder) for task, folder in policy.bundles.items()}
        self.limits = policy
        if policy.resident_bundles is None and policy.resident_bytes is None:
            self.limits = policy.model_copy(update={"resident_bytes": memory_for_bundles()})
        self.sizes = {folder: folder_bytes(folder) for folder in self.folders.values()}
        for folder, size in self.sizes.items():
            if policy.resident_bytes is not None and size > policy.resident_bytes:
                raise SettingsError(
                    f"resident_bytes {policy.resident_bytes} cannot hold {folder} of {size} bytes"
                )
        first = next(iter(self.folders.values()))
        self.benchmark = Benchmark.model_validate(read_json(first / "benchmark.json"))
        self.task_indices = {self.benchmark.task(task).index: task for task in self.folders}
        self._load = load
        self._resident: OrderedDict[Path, PolicyRunner] = OrderedDict()
        self._known: dict[Path, Predictor] = {}
        self._lock = threading.RLock()

    @property
    def resident(self) -> tuple[Path, ...]:
        """The folders of the loaded bundles, the least recently used first."""
        return tuple(self._resident)

    @property
    def resident_bytes(self) -> int:
        """Bytes of the loaded bundles."""
        return sum(self.sizes[folder] for folder in self._resident)

    def has_room(self, folder: Path) -> bool:
        """Whether the bundle is loaded, or can be without another one leaving."""
        if folder in self._resident:
            return True
        count, size = self.limits.resident_bundles, self.limits.resident_bytes
        return (count is None or len(self._resident) < count) and (
            size is None or self.resident_bytes + self.sizes[folder] <= size
        )

    def runner(self, folder: Path) -> PolicyRunner:
        """The loaded bundle; another one may have to leave for it.

        Raises:
            BundleError: it is incomplete, of another benchmark, or changed since it was first read.
        """
        with self._lock:
            if folder not in self._resident:
                while self._resident and not self.has_room(folder):
                    self._resident.popitem(last=False)
                self._resident[folder] = self._checked(self._load(folder), folder)
            self._resident.move_to_end(folder)
            return self._resident[folder]

    def predictor(self, task: str) -> Predictor:
        """What predicts for a task, now and after its bundle had to leave and came back.

        Raises:
            ServingError: no bundle for this task.
            BundleError: as `runner`.
        """
        if task not in self.folders:
            raise ServingError(f"no policy for task '{task}': {choices(task, self.folders)}")
        folder = self.folders[task]
        with self._lock:
            if folder not in self._known:
                self._known[folder] = _Shelved(self, folder, self.runner(folder).bundle)
            return self._known[folder]

    def _checked(self, runner: PolicyRunner, folder: Path) -> PolicyRunner:
        known, found = self._known.get(folder), runner.bundle
        if known is not None and known.bundle.hash != found.hash:
            raise BundleError(
                f"policy bundle {folder} changed from {known.bundle.hash} to {found.hash} while "
                "it was served; start the server again"
            )
        if found.benchmark.name != self.benchmark.name:
            raise BundleError(
                f"policy bundle {folder} is of benchmark '{found.benchmark.name}', others of "
                f"'{self.benchmark.name}'; one policy acts in one benchmark"
            )
        bundles.check_robot(found, self.benchmark)
        return runner


@dataclass(frozen=True, eq=False)
class _Shelved:
    """A bundle on the shelf: its facts at hand, its parameters loaded when it predicts."""

    shelf: BundleShelf
    folder: Path
    bundle: Bundle

    def predict_batch(
        self, requests: Sequence[Request], padded_size: int | None = None
    ) -> list[Prediction]:
        return self.shelf.runner(self.folder).predict_batch(requests, padded_size)


class SwitchingPolicy:
    """Acts in one episode at a time, with the bundle of the episode's task until `reset`."""

    def __init__(
        self,
        shelf: BundleShelf,
        runtime: Callable[[Bundle], RuntimeSettings],
        seed: int | Callable[[int], int],
        *,
        task: str | None = None,
    ) -> None:
        """
        Args:
            shelf: the bundles, shared by any number of policies.
            runtime: how to act with a bundle.
            seed: seed of the flow's noise, or what gives it for the index of a task.
            task: the task where observations carry no ``task_id``.

        Raises:
            ServingError: no bundle for `task`.
        """
        if task is not None and task not in shelf.folders:
            raise ServingError(f"no policy for task '{task}': {choices(task, shelf.folders)}")
        self.shelf, self.runtime, self.seed, self.task = shelf, runtime, seed, task
        self._policy: Policy | None = None

    def reset(self) -> None:
        """Forget the episode and its task."""
        self._policy = None

    @property
    def predictor(self) -> Predictor:
        """What answers this episode's requests, known from its first observation on."""
        assert self._policy is not None, "prepare chooses the policy before anything predicts"
        return self._policy.predictor

    @property
    def record(self) -> PredictionRecord | None:
        """See `Policy.record`."""
        return None if self._policy is None else self._policy.record

    def act(self, observation: Mapping[str, Any]) -> np.ndarray:
        """The next action, float32[D]; see `Policy.act`.

        Raises:
            ServingError: as `Policy.act`, or no bundle for the observation's task.
        """
        return self._of_episode(observation).act(observation)

    def prepare(self, observation: Mapping[str, Any]) -> np.ndarray | Request:
        """See `Policy.prepare`."""
        return self._of_episode(observation).prepare(observation)

    def finish(self, prediction: Prediction) -> np.ndarray:
        """See `Policy.finish`."""
        if self._policy is None:
            raise ServingError("a prediction came that no observation of this episode asked for")
        return self._policy.finish(prediction)

    def _of_episode(self, observation: Mapping[str, Any]) -> Policy:
        if self._policy is None:
            task = self._task_of(observation)
            predictor = self.shelf.predictor(task)
            runtime = self.runtime(predictor.bundle)
            self._policy = Policy(predictor, runtime, self.seed, task=task)
        return self._policy

    def _task_of(self, observation: Mapping[str, Any]) -> str:
        fixed = None if self.task is None else self.shelf.benchmark.task(self.task).index
        index = task_index(observation, fixed)
        if index not in self.shelf.task_indices:
            known = [f"{i} ({name})" for i, name in sorted(self.shelf.task_indices.items())]
            raise ServingError(f"no policy for task {index}; there are {', '.join(known)}")
        return self.shelf.task_indices[index]
