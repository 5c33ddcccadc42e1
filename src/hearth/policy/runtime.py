"""The acting policy: one episode's small state around pure functions (report, section 7)."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np

from hearth.core import seeds
from hearth.core.errors import ServingError, choices
from hearth.core.sections import RuntimeSettings
from hearth.policy.bundle import Bundle
from hearth.policy.chunking import absolute_chunk, check_horizon, normalised_targets, plan
from hearth.policy.correction import correct, failed_grasps
from hearth.policy.preprocess import Reading, fingerprint, read_observation, task_index
from hearth.policy.runner import PolicyRunner, Prediction
from hearth.policy.voting import StageVote, vote


class Policy:
    """Acts in one episode at a time; several policies may share one runner.

    The noise of an episode derives from `seed` and from the episode's first observation, so that
    an episode does not depend on which episodes the same or other connections played before.
    """

    def __init__(
        self,
        bundle: Bundle | PolicyRunner,
        runtime: RuntimeSettings,
        seed: int,
        *,
        task: str | None = None,
    ) -> None:
        """
        Args:
            bundle: the bundle, or the runner of a bundle that other policies use as well.
            runtime: how to act.
            seed: seed of the flow's noise.
            task: the task where observations carry no ``task_id``.

        Raises:
            SettingsError: the runtime wants more actions than a chunk has.
            ServingError: the bundle was not trained on `task`.
        """
        self.runner = bundle if isinstance(bundle, PolicyRunner) else PolicyRunner(bundle)
        self.bundle = self.runner.bundle
        self.runtime = runtime
        self.seed = seed
        check_horizon(runtime, self.bundle.statistics.horizon)
        self._fixed_task = None if task is None else self._index_of(task)
        self.reset()

    def reset(self) -> None:
        """Forget the episode."""
        self._queue: deque[np.ndarray] = deque()
        self._kept: np.ndarray | None = None
        self._vote = StageVote()
        self._task: int | None = None
        self._episode_seed: int | None = None
        self._predictions = 0

    @property
    def stage(self) -> int:
        """The current stage by voting."""
        return self._vote.stage

    @property
    def predictions(self) -> int:
        """Chunks predicted in this episode."""
        return self._predictions

    def act(self, observation: Mapping[str, Any]) -> np.ndarray:
        """The next action.

        Args:
            observation: the official map; only read when a new chunk is due.

        Returns:
            float32[D], absolute, within the robot's limits.

        Raises:
            ServingError: the observation is not what the robot sends, or names another task.
        """
        self._follow_task(observation)
        if not self._queue:
            self._replan(observation)
        return self._queue.popleft()

    def _replan(self, observation: Mapping[str, Any]) -> None:
        benchmark, robot = self.bundle.benchmark, self.bundle.benchmark.robot
        reading = read_observation(observation, benchmark, self.bundle.image_size)
        prediction = self._predict(reading)
        chunk = absolute_chunk(
            prediction.actions, reading.state, self.bundle.statistics, robot.delta_mask
        )
        self._count_vote(prediction.stage_logits)
        chunk = self._corrected(chunk, reading.state)
        next_plan = plan(
            chunk, self.runtime, robot.gripper_dimensions, robot.base_velocity_dimensions
        )
        actions = np.clip(next_plan.actions, robot.lower, robot.upper).astype(np.float32)
        self._queue.extend(actions)
        self._kept = next_plan.kept

    def _predict(self, reading: Reading) -> Prediction:
        if self._episode_seed is None:
            self._episode_seed = seeds.integer(self.seed, "episode noise", fingerprint(reading))
        keep = self.runtime.actions_to_keep if self.runtime.inpainting else 0
        kept = None
        if keep and self._kept is not None:
            mask = self.bundle.benchmark.robot.delta_mask
            kept = normalised_targets(self._kept, reading.state, self.bundle.statistics, mask)
        prediction = self.runner.predict(
            reading.images,
            self.bundle.statistics.normalise_state(reading.state),
            self._current_task,
            self.stage,
            seed=self._episode_seed,
            index=self._predictions,
            flow_steps=self.runtime.flow_steps,
            keep=keep,
            kept=kept,
        )
        self._predictions += 1
        return prediction

    def _count_vote(self, logits: np.ndarray) -> None:
        stages = int(self.bundle.benchmark.stage_counts()[self._current_task])
        predicted = int(np.argmax(logits[:stages]))
        self._vote = vote(self._vote, predicted, stages, self.runtime.stage_voting_window)

    def _corrected(self, chunk: np.ndarray, state: np.ndarray) -> np.ndarray:
        if not self.runtime.gripper_correction:
            return chunk
        grippers = self.bundle.benchmark.robot.gripper_dimensions
        closed = self.bundle.statistics.gripper_closed[self._current_task, self.stage]
        return correct(chunk, state, failed_grasps(state, closed, grippers), grippers)

    def _follow_task(self, observation: Mapping[str, Any]) -> None:
        index = task_index(observation, self._fixed_task)
        if index not in self.bundle.task_indices:
            known = [f"{i} ({name})" for i, name in sorted(self.bundle.task_indices.items())]
            raise ServingError(
                f"policy {self.bundle.path} was not trained on task {index}; "
                f"it knows {', '.join(known)}"
            )
        if self._task is not None and index != self._task:
            raise ServingError(
                f"the observation names task {index} in an episode of task {self._task}; "
                "reset the policy between episodes"
            )
        self._task = index

    @property
    def _current_task(self) -> int:
        assert self._task is not None, "act sets the task before anything reads it"
        return self._task

    def _index_of(self, task: str) -> int:
        if task not in self.bundle.tasks:
            raise ServingError(
                f"policy {self.bundle.path} was not trained on '{task}': "
                + choices(task, self.bundle.tasks)
            )
        return self.bundle.benchmark.task(task).index
