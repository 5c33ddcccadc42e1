"""One episode: an actor in an environment, its result as the official evaluators write it."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from hearth.core.errors import EvaluationError
from hearth.evaluation.video import video_file
from hearth.serving.client import PolicyClient
from hearth.simulation.environment import Environment, Observation

VIDEO_STRIDE = 5  # every fifth control step: 6 frames a second show what happened
OFFICIAL_KEYS = ("q_score", "time", "agent_distance", "normalized_agent_distance")


class Actor(Protocol):
    """What chooses the actions."""

    def reset(self, environment: Environment) -> None:
        """Start an episode on a freshly reset environment."""
        ...

    @property
    def looks(self) -> bool:
        """Whether the next `act` reads its observation; otherwise an empty one will do."""
        ...

    def act(self, observation: Observation, environment: Environment) -> np.ndarray:
        """The action (D,) for this observation."""
        ...


class ServerActor:
    """A policy behind the websocket protocol. Sees the observation and nothing else.

    Args:
        client: the connection.
        steps_ahead: how many planned actions to ask for at once. What the policy has planned does
            not depend on observations in between, so the episode stays the same.
        on_prediction: called with the steps so far and with what the server tells of each
            prediction, where it tells.
    """

    def __init__(
        self,
        client: PolicyClient,
        steps_ahead: int = 1,
        on_prediction: Callable[[int, dict[str, Any]], None] | None = None,
    ) -> None:
        self.client, self.steps_ahead = client, steps_ahead
        self._planned: deque[np.ndarray] = deque()
        self._steps = 0
        if on_prediction is not None:
            client.on_prediction = lambda prediction: on_prediction(self._steps, prediction)

    def reset(self, environment: Environment) -> None:
        self._planned.clear()
        self._steps = 0
        self.client.reset()

    @property
    def looks(self) -> bool:
        return not self._planned

    def act(self, observation: Observation, environment: Environment) -> np.ndarray:
        if not self._planned:
            self._planned.extend(self.client.plan(observation, self.steps_ahead))
        self._steps += 1
        return self._planned.popleft()


class ExpertActor:
    """The scripted expert of the embedded simulator, which sees the simulator's own state."""

    def __init__(self, task: str) -> None:
        from hearth.simulation.household import experts

        self.expert = experts.create(task)
        self.looks = False

    def reset(self, environment: Environment) -> None:
        self.expert.reset(environment)

    def act(self, observation: Observation, environment: Environment) -> np.ndarray:
        return self.expert.act(environment)


@dataclass(frozen=True)
class EpisodeJob:
    """What one episode is.

    Attributes:
        task, instance_id, rollout_id: which episode.
        task_index: sent as `task_id` where the environment does not send it.
        time_limit: control steps after which the episode ends in any case.
        frames_per_second: the control rate.
        start_noise_seed: disturbs the start; None for the instance's exact start.
        video_size: width and height [pixels]; None records nothing.
    """

    task: str
    instance_id: int
    rollout_id: int
    task_index: int
    time_limit: int
    frames_per_second: int
    start_noise_seed: int | None = None
    video_size: int | None = None


def run_episode(
    environment: Environment,
    actor: Actor,
    job: EpisodeJob,
    video_path: Path | None = None,
    on_step: Callable[[int], None] = lambda steps: None,
) -> dict[str, Any]:
    """Play one episode to its end.

    Args:
        environment: reset here.
        actor: reset here.
        job: which episode, and its limits.
        video_path: where the mp4 goes when `job.video_size` is set.
        on_step: called after every control step with the number of steps so far.

    Returns:
        The episode result without its provenance: the official keys, `status` and `goals`.

    Raises:
        EvaluationError: the environment reports metrics without an official key.
    """
    observation = environment.reset(job.instance_id, start_noise_seed=job.start_noise_seed)
    actor.reset(environment)
    task_id = np.array([job.task_index], dtype=np.int64)
    terminated = False
    with _recorder(environment, job, video_path) as record:
        record(0)
        steps = 0
        while steps < job.time_limit:
            if actor.looks:
                observation.setdefault("task_id", task_id)
            action = actor.act(observation, environment)
            step = environment.step(action, observe=actor.looks)
            observation, terminated = step.observation, step.terminated
            steps += 1
            on_step(steps)
            record(steps)
            if terminated or step.truncated:
                break
    return _result(environment, job, steps, terminated)


@contextlib.contextmanager
def _recorder(environment: Environment, job: EpisodeJob, path: Path | None):
    """Yield ``record(steps)``, which renders only when a video is wanted and a frame is due."""
    if job.video_size is None or path is None:
        yield lambda steps: None
        return
    size = job.video_size + job.video_size % 2  # yuv420p halves the colour planes
    with video_file(path, size, job.frames_per_second // VIDEO_STRIDE) as video:

        def record(steps: int) -> None:
            if steps % VIDEO_STRIDE == 0:
                video.add(environment.frame(size, size))

        yield record


def _result(
    environment: Environment, job: EpisodeJob, steps: int, terminated: bool
) -> dict[str, Any]:
    metrics = environment.metrics()
    missing = [key for key in OFFICIAL_KEYS if key not in metrics]
    if missing:
        raise EvaluationError(
            f"the environment's metrics lack {', '.join(missing)}; it gave {sorted(metrics)}"
        )
    goals = [
        {"text": goal.text, "initially": goal.initially, "now": goal.now}
        for goal in environment.goal_literals()
    ]
    return {
        "task": job.task,
        "instance_id": job.instance_id,
        "rollout_id": job.rollout_id,
        "steps": steps,
        "success": terminated,
        # An environment that ends without success before the limit would be a failure; what
        # reaches the limit is a timeout.
        "status": "success" if terminated else _unsuccessful(steps, job.time_limit),
        **{key: metrics[key] for key in OFFICIAL_KEYS},
        "goals": goals,
    }


def _unsuccessful(steps: int, time_limit: int) -> str:
    return "timeout" if steps >= time_limit else "failure"


def crashed_result(job: EpisodeJob, reason: str, log: list[str]) -> dict[str, Any]:
    """The result of an episode that never came to an end: q 0, nothing measured."""
    return {
        "task": job.task,
        "instance_id": job.instance_id,
        "rollout_id": job.rollout_id,
        "steps": 0,
        "success": False,
        "status": "crashed",
        "q_score": {"final": 0.0},
        "time": None,
        "agent_distance": None,
        "normalized_agent_distance": None,
        "goals": [],
        "reason": reason,
        "log": log,
    }
