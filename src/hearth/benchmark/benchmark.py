"""One loader for every benchmark: tasks, stages, lengths, robot layout, cameras, instances.

The facts are data (config/benchmarks/*.yaml); nothing about a task or a robot stands in code.
"""

from __future__ import annotations

import math
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hearth.core.errors import SettingsError, choices

if TYPE_CHECKING:
    import numpy as np  # loaded where used: a waiting launcher knows tasks but makes no arrays

SIMULATORS = ("household", "omnigibson-2025", "omnigibson-2026")
Split = Literal["train", "validation", "public", "hidden"]


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Task(_Facts):
    """One task. `human_length_frames` is the mean demonstration length at the benchmark's rate."""

    index: int = Field(ge=0)
    name: str
    stages: int = Field(ge=1, le=15)
    human_length_frames: int = Field(ge=1)


class Camera(_Facts):
    """A camera: its observation key, its name in the LeRobot data set, and its native size."""

    observation_key: str
    dataset_key: str
    height: int = Field(ge=1)
    width: int = Field(ge=1)


class StatePart(_Facts):
    """A run of the policy's state, read from the proprioception vector.

    A gripper part is the sum of its finger positions, mapped from `gripper_range` to [-1, 1].
    """

    name: str
    proprioception: tuple[int, int]
    gripper: bool = False


class ActionGroup(_Facts):
    """A run of action dimensions with its limits (m/s, rad/s, rad, or the unit gripper range)."""

    name: str
    start: int
    stop: int
    kind: Literal["velocity", "joint", "gripper"]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    # The winning system predicts the last trunk joint as an absolute target (report, 4.5).
    absolute: tuple[int, ...] = ()

    @model_validator(mode="after")
    def _check_width(self) -> ActionGroup:
        width = self.stop - self.start
        if len(self.lower) != width or len(self.upper) != width:
            raise ValueError(f"{self.name}: {width} dimensions need {width} limits")
        return self


class Robot(_Facts):
    """The robot's layout: proprioception slices, action order, units and limits."""

    name: str
    proprioception_key: str
    proprioception_width: int
    state: tuple[StatePart, ...]
    gripper_range: tuple[float, float]
    end_effectors: dict[str, tuple[int, int]]
    actions: tuple[ActionGroup, ...]

    @cached_property
    def action_width(self) -> int:
        return self.actions[-1].stop

    @cached_property
    def action_names(self) -> tuple[str, ...]:
        """A name per action dimension: its index and its group, e.g. "7 left arm"."""
        return tuple(
            f"{dimension} {group.name.replace('_', ' ')}"
            for group in self.actions
            for dimension in range(group.start, group.stop)
        )

    @cached_property
    def lower(self) -> np.ndarray:
        """Lower action limits, float64[action_width]."""
        import numpy as np

        return np.concatenate([group.lower for group in self.actions])

    @cached_property
    def upper(self) -> np.ndarray:
        """Upper action limits, float64[action_width]."""
        import numpy as np

        return np.concatenate([group.upper for group in self.actions])

    @cached_property
    def delta_mask(self) -> np.ndarray:
        """bool[action_width]: True where the policy predicts a change against the current state."""
        import numpy as np

        mask = np.zeros(self.action_width, dtype=bool)
        for group in self.actions:
            if group.kind == "joint":
                mask[group.start : group.stop] = True
                mask[list(group.absolute)] = False
        return mask

    @cached_property
    def per_timestep_mask(self) -> np.ndarray:
        """bool[action_width]: True where normalisation is per chunk index (report, 4.5.2)."""
        import numpy as np

        mask = np.zeros(self.action_width, dtype=bool)
        for group in self.actions:
            mask[group.start : group.stop] = group.kind == "joint"
        return mask

    @cached_property
    def gripper_dimensions(self) -> tuple[int, ...]:
        """Action indices of the grippers, left before right."""
        return tuple(group.start for group in self.actions if group.kind == "gripper")

    @cached_property
    def base_velocity_dimensions(self) -> slice:
        group = next(group for group in self.actions if group.kind == "velocity")
        return slice(group.start, group.stop)

    def state_from_proprioception(self, proprioception: np.ndarray) -> np.ndarray:
        """Proprioception (..., proprioception_width) -> float32 state (..., action_width).

        Raises:
            SettingsError: the vector has another width than this robot's.
        """
        import numpy as np

        proprioception = np.asarray(proprioception)
        if proprioception.shape[-1] != self.proprioception_width:
            raise SettingsError(
                f"proprioception has {proprioception.shape[-1]} numbers; robot '{self.name}' "
                f"sends {self.proprioception_width}"
            )
        low, high = self.gripper_range
        parts = []
        for part in self.state:
            values = proprioception[..., slice(*part.proprioception)]
            if part.gripper:
                opening = values.sum(axis=-1, keepdims=True)
                values = 2.0 * (opening - low) / (high - low) - 1.0
            parts.append(values)
        return np.concatenate(parts, axis=-1).astype(np.float32)


class PublicDemonstrations(_Facts):
    """Where the demonstrations are published, and which files make up a part of them.

    Patterns with ``*``; in `task` and `camera`, ``{task}`` stands for the task's index, in `camera`
    ``{camera}`` for its key in the data set.
    """

    repository: str
    index: tuple[str, ...]
    task: tuple[str, ...]
    camera: tuple[str, ...]


class Benchmark(_Facts):
    """A benchmark: what is run, on which robot, and how long an episode may take."""

    name: str
    simulator: Literal["household", "omnigibson-2025", "omnigibson-2026"]
    frames_per_second: int = Field(ge=1)
    time_limit_factor: float = Field(gt=0)
    seed: int = 0
    robot: Robot
    cameras: dict[str, Camera]
    demonstrations: PublicDemonstrations | None = None  # None: made by scripted experts
    splits: dict[Split, tuple[int, ...]]
    tasks: tuple[Task, ...]

    @model_validator(mode="after")
    def _check(self) -> Benchmark:
        names = [task.name for task in self.tasks]
        if len(set(names)) != len(names):
            raise ValueError("a task name stands twice")
        seen: set[int] = set()
        for split, instances in self.splits.items():
            if seen & set(instances):
                raise ValueError(f"split '{split}' shares instances with another split")
            seen |= set(instances)
        return self

    @property
    def task_names(self) -> tuple[str, ...]:
        return tuple(task.name for task in self.tasks)

    @property
    def task_count(self) -> int:
        """The number of task embeddings: the largest index + 1."""
        return max(task.index for task in self.tasks) + 1

    def task(self, name: str) -> Task:
        """The task of this name.

        Raises:
            SettingsError: there is none; the message lists the valid names.
        """
        for task in self.tasks:
            if task.name == name:
                return task
        raise SettingsError(
            f"unknown task '{name}' in benchmark '{self.name}': {choices(name, self.task_names)}"
        )

    def stage_counts(self) -> np.ndarray:
        """int32[task_count]: stages per task index, 0 where the index is unused."""
        import numpy as np

        counts = np.zeros(self.task_count, dtype=np.int32)
        for task in self.tasks:
            counts[task.index] = task.stages
        return counts

    def time_limit(self, task: str) -> int:
        """The episode's limit in steps."""
        return math.ceil(self.time_limit_factor * self.task(task).human_length_frames)

    def instances(self, split: str) -> tuple[int, ...]:
        """Instance ids of a split.

        Raises:
            SettingsError: the benchmark has no such split.
        """
        if split not in self.splits:
            raise SettingsError(
                f"unknown split '{split}' in benchmark '{self.name}': {choices(split, self.splits)}"
            )
        return self.splits[split]  # type: ignore[index]


def stage_label(frame: int | np.ndarray, length: int, stages: int) -> np.ndarray:
    """The time-based stage of a frame (report, 6.1): equal parts of the demonstration."""
    import numpy as np

    return np.minimum(np.asarray(frame) * stages // max(length, 1), stages - 1).astype(np.int32)


def load_benchmark(name: str | Path, folder: Path | None = None) -> Benchmark:
    """Load ``config/benchmarks/<name>.yaml``, or the file itself where `name` is a path.

    Raises:
        SettingsError: no such benchmark, or the file is not valid.
    """
    folder = folder or default_folder()
    path = Path(name) if str(name).endswith((".yaml", ".yml")) else folder / f"{name}.yaml"
    if not path.is_file():
        valid = [item.stem for item in folder.glob("*.yaml")]
        raise SettingsError(f"unknown benchmark '{name}' ({path}): {choices(name, valid)}")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return Benchmark.model_validate(yaml.load(path.read_text(), Loader=loader))
    except (ValidationError, yaml.YAMLError) as error:
        raise SettingsError(f"{path} is not a valid benchmark: {error}") from error


def default_folder() -> Path:
    """The benchmarks folder of this checkout."""
    return Path(__file__).resolve().parents[3] / "config" / "benchmarks"
