"""Synthetic merged results for the tests of reporting."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hearth.core.files import write_json
from hearth.core.results import Results


def episode(
    instance: int, q: float | None, status: str | None = None, rollout: int = 0, **more: Any
) -> dict[str, Any]:
    """One episode line of a merged result; `status` follows from q unless given."""
    if status is None:
        status = "success" if q == 1.0 else "timeout"
    present = status not in ("crashed", "missing")
    return {
        "instance_id": instance,
        "rollout_id": rollout,
        "status": status,
        "q": q,
        "success": q == 1.0,
        "steps": 400 if present else 0,
        "normalized_time": 0.8 if present else None,
        "normalized_agent_distance": {"base": 0.9, "left": 0.7, "right": 0.5} if present else None,
        "video": None,
        **more,
    }


def merged(
    evaluation: str, task: str, episodes: list[dict[str, Any]], **more: Any
) -> dict[str, Any]:
    """A merged task result around `episodes`."""
    return {
        "evaluation": evaluation,
        "task": task,
        "split": "public",
        "policy": "main",
        "policy_hash": "0123456789abcdef",
        "config_hash": "fedcba9876543210",
        "instances_due": [[item["instance_id"], item["rollout_id"]] for item in episodes],
        "episodes": episodes,
        **more,
    }


def write(root: Path, value: dict[str, Any]) -> Path:
    """Write a merged result where it belongs in the results tree."""
    path = Results(root).task_result(value["evaluation"], value["task"])
    write_json(path, value)
    return path


def write_scores(root: Path, evaluation: str, task: str, scores: list[float], **more: Any) -> Path:
    """A merged result with one instance per score."""
    lines = [episode(instance, q) for instance, q in enumerate(scores)]
    return write(root, merged(evaluation, task, lines, **more))
