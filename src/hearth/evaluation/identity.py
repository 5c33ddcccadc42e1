"""What makes an episode the same episode: which are due, and the hashes that they carry."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from math import isfinite
from pathlib import Path
from typing import Any

from hearth.benchmark import Benchmark
from hearth.core.errors import DataError, EvaluationError, TrainingError
from hearth.core.files import hash_json, publish_json, read_json
from hearth.core.groups import run_for
from hearth.core.results import Results
from hearth.core.settings import Settings

EXPERT = "expert"
STATUSES = ("success", "timeout", "failure", "crashed")  # of a result file
# What changes how episodes are run or how many, but not what happens in one of them.
_NOT_IN_HASH = {
    "policy", "split", "instances", "rollouts", "runtime", "workers", "attempts",
    "start_timeout_seconds", "step_timeout_seconds", "video", "video_size", "trace",
    "trace_chunk_pairs",
}  # fmt: skip

Key = tuple[int, int]  # (instance id, rollout id)


@cache
def version(package: str) -> str:
    """The installed version of a package, looked up once: every episode's provenance names it."""
    return metadata.version(package)


def due_episodes(settings: Settings, benchmark: Benchmark, evaluation: str) -> list[Key]:
    """(instance, rollout) of every episode that the evaluation asks for, in order.

    Raises:
        EvaluationError: more instances are wanted than the split has.
    """
    wanted = settings.evaluation(evaluation)
    instances = benchmark.instances(wanted.split)
    if wanted.instances is not None and wanted.instances > len(instances):
        raise EvaluationError(
            f"evaluations.{evaluation}.instances = {wanted.instances}: split '{wanted.split}' of "
            f"'{benchmark.name}' has {len(instances)}"
        )
    chosen = instances[: wanted.instances]
    return [(instance, rollout) for instance in chosen for rollout in range(wanted.rollouts)]


def played_by(settings: Settings, evaluation: str, task: str) -> str:
    """The run (or "expert") that plays `task`.

    Raises:
        EvaluationError: it follows from groups of tasks that are not made yet.
    """
    try:
        return run_for(settings, evaluation, task)
    except TrainingError as error:
        raise EvaluationError(str(error)) from error


def policy_hash(settings: Settings, evaluation: str, task: str) -> str:
    """The hash of the bundle that plays `task`, or of the scripted expert.

    Raises:
        EvaluationError: the run has no finished bundle.
    """
    run = played_by(settings, evaluation, task)
    if run == EXPERT:
        return hash_json([EXPERT, task, version("hearth")])
    return str(bundle_provenance(settings, run)["hash"])


def bundle_provenance(settings: Settings, run: str) -> dict[str, Any]:
    """The bundle's own record, read without loading the policy.

    Raises:
        EvaluationError: there is no complete bundle.
    """
    path = Results.of(settings).bundle(run)
    try:
        provenance = read_json(path / "provenance.json")
    except DataError as error:
        raise EvaluationError(
            f"run '{run}' has no finished policy at {path} ({error}); train it first"
        ) from error
    if "hash" not in provenance:
        raise EvaluationError(f"{path / 'provenance.json'} has no 'hash'; write the bundle again")
    return provenance


def config(settings: Settings, benchmark: Benchmark, evaluation: str, task: str) -> dict[str, Any]:
    """Everything but the policy and hearth's version that decides what happens in an episode."""
    wanted = settings.evaluation(evaluation)
    expert = wanted.policy_for(task) == EXPERT
    runtime = None if expert else settings.runtime_for(evaluation).model_dump(mode="json")
    # Only where an evaluator plays: results of the embedded simulator keep their hashes.
    evaluator = {"evaluator": settings.evaluator.identity()} if settings.evaluator else {}
    return {
        **evaluator,
        "evaluation": wanted.model_dump(mode="json", exclude=_NOT_IN_HASH),
        "runtime": runtime,
        "benchmark": benchmark.model_dump(mode="json", exclude={"splits", "tasks"}),
        "task": benchmark.task(task).model_dump(mode="json"),
        "seed": settings.seed,
    }


def config_hash(settings: Settings, benchmark: Benchmark, evaluation: str, task: str) -> str:
    """A hash over everything but the policy that decides what happens in an episode."""
    values = config(settings, benchmark, evaluation, task)
    return hash_json({**values, "hearth": version("hearth")})


def hashes(settings: Settings, benchmark: Benchmark, evaluation: str, task: str) -> dict[str, str]:
    """The two hashes that a result's provenance must carry to count."""
    return {
        "policy_hash": policy_hash(settings, evaluation, task),
        "config_hash": config_hash(settings, benchmark, evaluation, task),
    }


def read_result(path: Path, hashes: Mapping[str, str | None]) -> tuple[dict[str, Any] | None, str]:
    """A finished episode of this policy and configuration, or None and the reason.

    Args:
        path: the episode's JSON.
        hashes: `policy_hash` and `config_hash` that its provenance must carry.
    """
    try:
        result = read_json(path)
        found = {key: result["provenance"][key] for key in hashes}
        score = float(result["q_score"]["final"])
        if not 0.0 <= score <= 1.0 or result["status"] not in STATUSES:
            raise ValueError(f"status {result['status']!r}, q {score}")
        if result["status"] != "crashed":
            _check_measured(result)
        for goal in result.get("goals", []):
            if not isinstance(goal["text"], str) or not {goal["initially"], goal["now"]} <= {0, 1}:
                raise ValueError(f"goal {goal!r}")
    except (DataError, KeyError, TypeError, ValueError) as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None, "not run yet"
        what = f"it has no {error}" if isinstance(error, KeyError) else error
        return None, f"{path.name} cannot be read: {what}"
    stale = sorted(key for key in hashes if found[key] != hashes[key])
    if stale:
        return None, f"{path.name} has another {' and '.join(stale)}"
    return result, ""


def _check_measured(result: Mapping[str, Any]) -> None:
    """
    Raises:
        ValueError, KeyError, TypeError: what a merge needs of an episode is missing or no number.
    """
    if type(result["steps"]) is not int or type(result["success"]) is not bool:
        raise ValueError(f"steps {result['steps']!r}, success {result['success']!r}")
    measured = {"time": result["time"]["normalized_time"], **result["normalized_agent_distance"]}
    for name, value in measured.items():
        # A part that never moved is infinitely better than a person's, which JSON cannot say.
        if value is not None and value != "Infinity" and not isfinite(value):
            raise ValueError(f"normalized {name} is {value!r}; valid are finite numbers")


def is_finished(path: Path, hashes: Mapping[str, str | None]) -> bool:
    """Whether `path` holds an episode of these hashes that came to an end."""
    result, _ = read_result(path, hashes)
    return result is not None and result["status"] != "crashed"


def publish(path: Path, result: dict[str, Any]) -> bool:
    """Write an episode's result unless a finished one of the same hashes is there.

    A process on a lost node may live on and finish an episode that was given to another one: the
    first result stands. Returns whether this one does.
    """
    hashes = {key: result["provenance"][key] for key in ("policy_hash", "config_hash")}
    return publish_json(path, result, superseded=lambda: not is_finished(path, hashes))


def missing_episodes(
    settings: Settings, benchmark: Benchmark, evaluation: str, task: str
) -> list[Key]:
    """The due episodes of one task without a finished result, in order.

    Raises:
        EvaluationError: no finished bundle, or more instances are wanted than there are.
    """
    expected = hashes(settings, benchmark, evaluation, task)
    results = Results.of(settings)
    return [
        key
        for key in due_episodes(settings, benchmark, evaluation)
        if not is_finished(results.episode(evaluation, task, *key), expected)
    ]


@cache
def git_commit() -> str | None:
    """The commit of this checkout, or None outside of one."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
