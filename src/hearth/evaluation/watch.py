"""One episode in this process, for eyes: play it and write its video."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hearth.benchmark import Benchmark
from hearth.core.errors import EvaluationError
from hearth.core.progress import progress
from hearth.core.seeds import policy_seed
from hearth.core.settings import Settings
from hearth.evaluation.environments import factory_name, load_factory
from hearth.evaluation.episode import Actor, EpisodeJob, ExpertActor, run_episode
from hearth.evaluation.identity import EXPERT
from hearth.simulation.environment import Environment, Observation


class _PolicyActor:
    """A policy in this process, without a server."""

    looks = True

    def __init__(self, path: Path, settings: Settings, benchmark: Benchmark, task: str) -> None:
        from hearth.policy import bundle as bundles
        from hearth.policy.runtime import Policy

        bundle = bundles.load(path, benchmark)
        seed = policy_seed(settings.seed, benchmark.task(task).index)
        self.image_size = bundle.image_size
        self._policy = Policy(bundle, settings.runtime, seed, task=task)

    def reset(self, environment: Environment) -> None:
        self._policy.reset()

    def act(self, observation: Observation, environment: Environment) -> Any:
        return self._policy.act(observation)


def watch(
    settings: Settings,
    benchmark: Benchmark,
    task: str,
    instance: int,
    policy: str,
    output: Path,
    size: int,
) -> dict[str, Any]:
    """Play one episode of `task` and write its video to `output`.

    Args:
        policy: "expert", or the folder of a policy bundle.
        instance: an instance id of any split.
        size: width and height of the video [pixels].

    Returns:
        The episode result without its provenance.

    Raises:
        EvaluationError: the benchmark has no such instance.
        BundleError: `policy` is no bundle for this robot.
    """
    if not any(instance in instances for instances in benchmark.splits.values()):
        spans = ", ".join(f"{k} {min(v)} to {max(v)}" for k, v in benchmark.splits.items())
        raise EvaluationError(f"'{benchmark.name}' has no instance {instance}; it has {spans}")
    job = EpisodeJob(
        task=task,
        instance_id=instance,
        rollout_id=0,
        task_index=benchmark.task(task).index,
        time_limit=benchmark.time_limit(task),
        frames_per_second=benchmark.frames_per_second,
        video_size=size,
    )
    image_size, actor = _actor(settings, benchmark, task, policy)
    environment = load_factory(factory_name(benchmark))(task, benchmark, image_size)
    try:
        with progress(f"{task}, instance {instance}", job.time_limit) as advance:
            return run_episode(environment, actor, job, output, lambda steps: advance())
    finally:
        environment.close()


def _actor(
    settings: Settings, benchmark: Benchmark, task: str, policy: str
) -> tuple[int | None, Actor]:
    """What acts, and the size of the camera images it reads; None for no images."""
    if policy == EXPERT:
        return None, ExpertActor(task)
    actor = _PolicyActor(Path(policy), settings, benchmark, task)
    return actor.image_size, actor
