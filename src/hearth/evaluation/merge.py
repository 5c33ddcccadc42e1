"""Merge the episodes of one task: everything that was due stays in the denominator."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hearth.benchmark import Benchmark, experiment_benchmark
from hearth.core import traces
from hearth.core.errors import EvaluationError
from hearth.core.files import write_text
from hearth.core.results import Results
from hearth.core.settings import Settings
from hearth.evaluation import identity

_STATUSES = (*identity.STATUSES, "missing")
_THREADS = 8
_LINE = json.JSONEncoder(sort_keys=True, allow_nan=False).encode


def merge_task(
    settings: Settings, evaluation: str, task: str, benchmark: Benchmark | None = None
) -> dict[str, Any]:
    """The merged result of one task; see docs/architecture.md for its keys.

    Crashed and missing episodes score zero. A result of another policy or configuration, or one
    that cannot be read, counts as missing and says why. `complete` tells whether every due
    episode came to an end.

    Args:
        benchmark: the loaded benchmark of `settings`, where a caller merges many tasks.

    Raises:
        SettingsError: unknown evaluation or task.
        EvaluationError: the evaluation wants more instances than its split has.
    """
    benchmark = benchmark or experiment_benchmark(settings)
    benchmark.task(task)
    results = Results.of(settings)
    wanted = settings.evaluation(evaluation)
    hashes = _hashes(settings, benchmark, evaluation, task)
    due = identity.due_episodes(settings, benchmark, evaluation)
    header = {
        "evaluation": evaluation,
        "task": task,
        "split": wanted.split,
        "policy": _policy(settings, evaluation, task),
        "time_limit_factor": benchmark.time_limit_factor,
        **hashes,
    }
    entries = [_entry(results, evaluation, task, k, hashes, wanted.video) for k in due]
    return task_result(header, due, entries)


def _policy(settings: Settings, evaluation: str, task: str) -> str:
    """The run that plays; before the groups are made, what the evaluation calls it."""
    try:
        return identity.played_by(settings, evaluation, task)
    except EvaluationError:
        return settings.evaluation(evaluation).policy_for(task)


def task_result(
    header: Mapping[str, Any], due: Sequence[identity.Key], episodes: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """A merged result: its header, every episode due, and the sums over them."""
    counts = Counter(episode["status"] for episode in episodes)
    return {
        **header,
        "instances_due": [list(key) for key in due],
        "episodes": list(episodes),
        "counts": {status: counts[status] for status in _STATUSES},
        "q_mean": sum(episode["q"] for episode in episodes) / len(due),
        "success_rate": sum(episode["success"] for episode in episodes) / len(due),
        "complete": not counts["crashed"] and not counts["missing"],
    }


def missing_episode(key: identity.Key, reason: str) -> dict[str, Any]:
    """The line of an episode that was due and has no result; `reason` says why."""
    return {
        "instance_id": key[0], "rollout_id": key[1], "status": "missing", "q": 0.0,
        "success": False, "steps": 0, "normalized_time": None,
        "normalized_agent_distance": None, "video": None, "reason": reason,
    }  # fmt: skip


def merge_all(
    settings: Settings,
    evaluation: str,
    tasks: Sequence[str],
    benchmark: Benchmark | None = None,
) -> list[dict[str, Any]]:
    """`merge_and_write` of many tasks, in their order.

    Threads, because most of the time goes by waiting for the disk to take each result.
    """
    benchmark = benchmark or experiment_benchmark(settings)
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(
            pool.map(lambda task: merge_and_write(settings, evaluation, task, benchmark), tasks)
        )


def merge_and_write(
    settings: Settings, evaluation: str, task: str, benchmark: Benchmark | None = None
) -> dict[str, Any]:
    """Merge, write the task's result whatever its completeness, and return it."""
    merged = merge_task(settings, evaluation, task, benchmark)
    write_merged(Results.of(settings), merged, settings.report.allow_incomplete)
    return merged


def write_merged(results: Results, merged: Mapping[str, Any], allow_incomplete: bool) -> None:
    """Write a merged result where it belongs.

    An incomplete merge that the settings do not allow has a name of its own
    (`Results.incomplete_result`): the workflow's target appears only when it is true.
    """
    complete = results.task_result(merged["evaluation"], merged["task"])
    incomplete = results.incomplete_result(merged["evaluation"], merged["task"])
    if merged["complete"] or allow_incomplete:
        write_text(complete, _json_text(merged))
        incomplete.unlink(missing_ok=True)
    else:
        write_text(incomplete, _json_text(merged))
        complete.unlink(missing_ok=True)


def _json_text(merged: Mapping[str, Any]) -> str:
    """JSON with a line per episode: quick to write by the thousand, and still readable."""
    others = sorted(key for key in merged if key != "episodes")
    head = [f'"{key}": {_LINE(merged[key])}' for key in others]
    episodes = ",\n  ".join(map(_LINE, merged["episodes"]))
    return "{\n " + ",\n ".join(head) + f',\n "episodes": [\n  {episodes}\n ]\n}}\n'


def ensure_merged(
    settings: Settings,
    evaluation: str,
    tasks: Sequence[str],
    benchmark: Benchmark | None = None,
) -> None:
    """Merge the tasks that have no complete result, so that a report shows what is missing."""
    results = Results.of(settings)
    missing = [task for task in tasks if not results.task_result(evaluation, task).exists()]
    merge_all(settings, evaluation, missing, benchmark)


def _hashes(
    settings: Settings, benchmark: Benchmark, evaluation: str, task: str
) -> dict[str, str | None]:
    """As `identity.hashes`, but None for a policy that does not exist yet: all is missing then."""
    try:
        return dict(identity.hashes(settings, benchmark, evaluation, task))
    except EvaluationError:
        config = identity.config_hash(settings, benchmark, evaluation, task)
        return {"policy_hash": None, "config_hash": config}


def _place(results: Results, path: str) -> str:
    return Path(path).relative_to(results.root).as_posix()


def _below(results: Results, path: str) -> str | None:
    """Where a file stands below the results root; None if there is none."""
    return _place(results, path) if os.access(path, os.F_OK) else None


def _entry(
    results: Results,
    evaluation: str,
    task: str,
    key: identity.Key,
    hashes: dict[str, str | None],
    filmed: bool,
) -> dict[str, Any]:
    """One episode's line; `reason` says what was wrong with a crashed or missing one.

    Where videos are made (`filmed`) the line names one that is lost too: the report says so. An
    episode that was played while none were made was never filmed, and nothing of it is lost.
    """
    path = results.episode(evaluation, task, *key)
    result, reason = identity.read_result(path, hashes)
    if result is None:
        return missing_episode(key, reason)
    if result["status"] == "crashed":
        return {**missing_episode(key, result.get("reason", "")), "status": "crashed"}
    stem, record = os.fspath(path).removesuffix(".json"), {}
    film = f"{stem}.mp4"
    if "official" in result:
        file = results.evaluation(evaluation) / result["official"]["file"]
        record = {"record": file.relative_to(results.root).as_posix()}
    filmed = filmed and result["provenance"].get("video", True)
    return {
        "instance_id": key[0],
        "rollout_id": key[1],
        "status": result["status"],
        "q": float(result["q_score"]["final"]),
        "success": bool(result["success"]),
        "steps": int(result["steps"]),
        "normalized_time": result["time"]["normalized_time"],
        "normalized_agent_distance": result["normalized_agent_distance"],
        "video": _place(results, film) if filmed else _below(results, film),
        "trace": _below(results, stem + traces.SUFFIX),
        **record,
        "goals": result.get("goals", []),
    }
