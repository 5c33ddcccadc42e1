"""The acting policy: one episode's small state around pure functions (report, section 7)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hearth.core import seeds
from hearth.core.errors import ServingError, choices
from hearth.core.sections import RuntimeSettings
from hearth.policy.bundle import Bundle
from hearth.policy.checks import check_rules
from hearth.policy.chunking import absolute_chunk, check_horizon, normalised_targets, plan
from hearth.policy.correction import Correction, closure_table, correct
from hearth.policy.preprocess import Reading, fingerprint, read_observation, task_index
from hearth.policy.record import PredictionRecord, overlap_error
from hearth.policy.rules import Situation, decide
from hearth.policy.runner import PolicyRunner, Prediction, Predictor, Request, Sampling
from hearth.policy.voting import StageVote, track_stage


@dataclass
class Episode:
    """All that a policy remembers of an episode.

    Attributes:
        queue: the actions still to execute before the next prediction, float32[D] each.
        kept: float32[k, D], absolute, the planned actions that follow the queue.
        vote: the tracked stage and the predictions that count for its next move.
        task: the task index, known from the first observation on.
        seed: fixes the noise, from the first observation on.
        predictions: chunks predicted.
        waiting: the state float32[D] of the observation whose prediction is due.
        record: what the last prediction said and what became of it.
    """

    queue: deque[np.ndarray] = field(default_factory=deque)
    kept: np.ndarray | None = None
    vote: StageVote = field(default_factory=StageVote)
    task: int | None = None
    seed: int | None = None
    predictions: int = 0
    waiting: np.ndarray | None = None
    record: PredictionRecord | None = None


class Policy:
    """Acts in one episode at a time; several policies may share one runner.

    `act` answers an observation at once. A caller that gathers the requests of several episodes
    uses its halves: `prepare` gives the next planned action, or a `Request` where a new chunk is
    due; `finish` takes the prediction and gives the action.

    The noise of an episode derives from `seed` and from the episode's first observation, so that
    an episode does not depend on which episodes the same or other connections played before.
    """

    def __init__(
        self,
        bundle: Bundle | Predictor,
        runtime: RuntimeSettings,
        seed: int | Callable[[int], int],
        *,
        task: str | None = None,
    ) -> None:
        """
        Args:
            bundle: the bundle, or what predicts with a bundle that other policies use as well.
            runtime: how to act.
            seed: seed of the flow's noise, or what gives it for the index of a task.
            task: the task where observations carry no ``task_id``.

        Raises:
            SettingsError: the runtime wants more actions than a chunk has, or its rules name
                tasks or stages that the benchmark does not have.
            ServingError: the bundle was not trained on `task`.
        """
        self.predictor = PolicyRunner(bundle) if isinstance(bundle, Bundle) else bundle
        self.bundle = self.predictor.bundle
        self.runtime = runtime
        self.seed = seed
        self._sampling = Sampling.of(runtime)
        check_horizon(runtime, self.bundle.statistics.horizon)
        check_rules(runtime, self.bundle.benchmark)
        self._closures = closure_table(
            self.bundle.statistics.gripper_closed, runtime.gripper_closures, self.bundle.benchmark
        )
        self._fixed_task = None if task is None else self._index_of(task)
        self.reset()

    def reset(self) -> None:
        """Forget the episode."""
        self._episode = Episode()

    @property
    def stage(self) -> int:
        """The current stage."""
        return self._episode.vote.stage

    @property
    def predictions(self) -> int:
        """Chunks predicted in this episode."""
        return self._episode.predictions

    @property
    def record(self) -> PredictionRecord | None:
        """What the last prediction said and what became of it; None before the first."""
        return self._episode.record

    def act(self, observation: Mapping[str, Any]) -> np.ndarray:
        """The next action.

        Args:
            observation: the official map; only read when a new chunk is due.

        Returns:
            float32[D], absolute, within the robot's limits.

        Raises:
            ServingError: the observation is not what the robot sends, or names another task.
        """
        due = self.prepare(observation)
        if not isinstance(due, Request):
            return due
        return self.finish(self.predictor.predict_batch([due])[0])

    def prepare(self, observation: Mapping[str, Any]) -> np.ndarray | Request:
        """The next planned action float32[D], or what to ask the network for.

        Asked again before `finish`, it gives the request of the newer observation.

        Raises:
            ServingError: as `act`.
        """
        episode = self._episode
        self._follow_task(observation)
        if episode.queue:
            return episode.queue.popleft()
        reading = read_observation(observation, self.bundle.benchmark, self.bundle.image_size)
        if episode.seed is None:
            seed = self.seed(self._task) if callable(self.seed) else self.seed
            episode.seed = seeds.integer(seed, "episode noise", fingerprint(reading))
        episode.waiting = reading.state
        return self._request(reading, episode.seed)

    def finish(self, prediction: Prediction) -> np.ndarray:
        """Turn the prediction for the last request into a plan; returns its first action.

        Raises:
            ServingError: no request is waiting.
        """
        episode, state = self._episode, self._episode.waiting
        if state is None:
            raise ServingError("a prediction came that no observation of this episode asked for")
        episode.waiting = None
        episode.predictions += 1
        robot = self.bundle.benchmark.robot
        statistics = self.bundle.statistics
        chunk = absolute_chunk(prediction.actions, state, statistics, statistics.delta)
        raw_stage = self._track_stage(prediction.stage_logits)
        voted_stage = self.stage
        correction = self._correction(state)
        grippers = robot.gripper_dimensions
        corrected = correct(chunk, state, correction.opened, grippers)
        next_plan = plan(corrected, self.runtime, grippers, robot.base_velocity_dimensions)
        actions = next_plan.actions
        if self.runtime.clip_actions:
            actions = np.clip(actions, robot.lower, robot.upper).astype(np.float32)
        episode.queue.extend(actions)
        error = self._overlap_error(prediction, state)
        episode.record = PredictionRecord(
            raw_stage, voted_stage, self.stage, correction.opened, error,
            chunk, actions, next_plan.kept, next_plan.used,
        )  # fmt: skip
        episode.kept = next_plan.kept
        return episode.queue.popleft()

    def _request(self, reading: Reading, seed: int) -> Request:
        kept = self._planned(reading.state) if self._sampling.keep else None
        return Request(
            images=reading.images,
            state=self.bundle.statistics.normalise_state(reading.state),
            task=self._task,
            stage=self.stage,
            seed=seed,
            index=self._episode.predictions,
            sampling=self._sampling,
            kept=kept,
        )

    def _planned(self, state: np.ndarray) -> np.ndarray | None:
        """The actions that were planned to come next, normalised as a chunk from `state`."""
        if self._episode.kept is None or not len(self._episode.kept):
            return None
        statistics = self.bundle.statistics
        return normalised_targets(self._episode.kept, state, statistics, statistics.delta)

    def _overlap_error(self, prediction: Prediction, state: np.ndarray) -> float | None:
        planned = self._planned(state)
        return None if planned is None else overlap_error(prediction.actions, planned)

    def _track_stage(self, logits: np.ndarray) -> int:
        """Let a prediction vote; returns the stage that it names."""
        stages = int(self.bundle.benchmark.stage_counts()[self._task])
        predicted = int(np.argmax(logits[:stages]))
        self._episode.vote = track_stage(self._episode.vote, predicted, stages, self.runtime)
        return predicted

    def _correction(self, state: np.ndarray) -> Correction:
        """What task rules and gripper rule decide; they may also move the stage."""
        robot, name = self.bundle.benchmark.robot, self.bundle.task_indices[self._task]
        closed = self._closures[self._task] if self.runtime.gripper_correction else None
        correction = decide(
            Situation(self.stage, state, robot.gripper_dimensions),
            self.runtime.task_rules.get(name, ()),
            closed,
        )
        if correction.stage != self.stage:
            self._episode.vote = StageVote(correction.stage)
        return correction

    def _follow_task(self, observation: Mapping[str, Any]) -> None:
        index = task_index(observation, self._fixed_task)
        if self._episode.task is not None and index != self._episode.task:
            raise ServingError(
                f"the observation names task {index} in an episode of task {self._episode.task}; "
                "reset the policy between episodes"
            )
        if index not in self.bundle.task_indices:
            known = [f"{i} ({name})" for i, name in sorted(self.bundle.task_indices.items())]
            raise ServingError(
                f"policy {self.bundle.path} was not trained on task {index}; "
                f"it knows {', '.join(known)}"
            )
        self._episode.task = index

    @property
    def _task(self) -> int:
        assert self._episode.task is not None, "prepare sets the task before anything reads it"
        return self._episode.task

    def _index_of(self, task: str) -> int:
        if task not in self.bundle.tasks:
            raise ServingError(
                f"policy {self.bundle.path} was not trained on '{task}': "
                + choices(task, self.bundle.tasks)
            )
        return self.bundle.benchmark.task(task).index
