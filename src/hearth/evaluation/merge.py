"""Merge the episodes of one task: everything that was due stays in the denominator."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hearth.benchmark import Benchmark, load_benchmark
from hearth.core.errors import EvaluationError
from hearth.core.files import write_json
from hearth.core.results import Results
from hearth.core.settings import Settings
from hearth.evaluation import identity

_STATUSES = (*identity.STATUSES, "missing")


def merge_task(settings: Settings, evaluation: str, task: str) -> dict[str, Any]:
    """The merged result of one task; see docs/architecture.md for its keys.

    Crashed and missing episodes score zero. A result of another policy or configuration, or one
    that cannot be read, counts as missing and says why. `complete` tells whether every due
    episode came to an end.

    Raises:
        SettingsError: unknown evaluation or task.
        EvaluationError: the evaluation wants more instances than its split has.
    """
    benchmark = load_benchmark(settings.benchmark)
    benchmark.task(task)
    results = Results.of(settings)
    wanted = settings.evaluation(evaluation)
    hashes = _hashes(settings, benchmark, evaluation, task)
    due = identity.due_episodes(settings, benchmark, evaluation)
    episodes = [_entry(results, evaluation, task, key, hashes) for key in due]
    counts = Counter(episode["status"] for episode in episodes)
    return {
        "evaluation": evaluation,
        "task": task,
        "split": wanted.split,
        "policy": wanted.run_for(task),
        **hashes,
        "instances_due": [list(key) for key in due],
        "episodes": episodes,
        "counts": {status: counts[status] for status in _STATUSES},
        "q_mean": sum(episode["q"] for episode in episodes) / len(due),
        "success_rate": sum(episode["success"] for episode in episodes) / len(due),
        "complete": not counts["crashed"] and not counts["missing"],
    }


def merge_and_write(settings: Settings, evaluation: str, task: str) -> dict[str, Any]:
    """Merge, write the task's result whatever its completeness, and return it.

    An incomplete merge that the settings do not allow has a name of its own
    (`Results.incomplete_result`): the workflow's target appears only when it is true.
    """
    merged = merge_task(settings, evaluation, task)
    results = Results.of(settings)
    complete = results.task_result(evaluation, task)
    incomplete = results.incomplete_result(evaluation, task)
    if merged["complete"] or settings.report.allow_incomplete:
        write_json(complete, merged)
        incomplete.unlink(missing_ok=True)
    else:
        write_json(incomplete, merged)
        complete.unlink(missing_ok=True)
    return merged


def ensure_merged(settings: Settings, evaluation: str, task: str) -> None:
    """Merge a task that has no complete result, so that a report shows what is missing."""
    if not Results.of(settings).task_result(evaluation, task).exists():
        merge_and_write(settings, evaluation, task)


def _hashes(
    settings: Settings, benchmark: Benchmark, evaluation: str, task: str
) -> dict[str, str | None]:
    """As `identity.hashes`, but None for a policy that does not exist yet: all is missing then."""
    try:
        return dict(identity.hashes(settings, benchmark, evaluation, task))
    except EvaluationError:
        config = identity.config_hash(settings, benchmark, evaluation, task)
        return {"policy_hash": None, "config_hash": config}


def _entry(
    results: Results,
    evaluation: str,
    task: str,
    key: identity.Key,
    hashes: dict[str, str | None],
) -> dict[str, Any]:
    """One episode's line; `reason` says what was wrong with a crashed or missing one."""
    path = results.episode(evaluation, task, *key)
    result, reason = identity.read_result(path, hashes)
    entry: dict[str, Any] = {
        "instance_id": key[0], "rollout_id": key[1], "status": "missing", "q": 0.0,
        "success": False, "steps": 0, "normalized_time": None,
        "normalized_agent_distance": None, "video": None,
    }  # fmt: skip
    if result is None:
        return {**entry, "reason": reason}
    entry["status"] = result["status"]
    if result["status"] == "crashed":
        return {**entry, "reason": result.get("reason", "")}
    video = path.with_suffix(".mp4")
    return {
        **entry,
        "q": float(result["q_score"]["final"]),
        "success": bool(result["success"]),
        "steps": int(result["steps"]),
        "normalized_time": result["time"]["normalized_time"],
        "normalized_agent_distance": result["normalized_agent_distance"],
        "video": video.relative_to(results.root).as_posix() if video.exists() else None,
    }
