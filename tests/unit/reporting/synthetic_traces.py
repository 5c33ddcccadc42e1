"""Synthetic traces of episodes for the tests of the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hearth.core.results import Results
from hearth.core.traces import trace_path, write_trace


def chunk(step: int) -> dict[str, Any]:
    """26 predicted actions in 20 steps, 4 kept; the second dimension moves."""
    rows = np.zeros((30, 2))
    rows[:, 1] = np.sin(0.1 * (step + np.arange(30)))
    return {
        "step": step, "used": 26, "chunk": rows.round(4).tolist(),
        "actions": rows[:20].round(4).tolist(), "kept": rows[26:].round(4).tolist(),
    }  # fmt: skip


def trace(task: str, instance: int) -> dict[str, Any]:
    """Six predictions of 20 steps: two name another stage than the vote, one opens a hand."""
    return {
        "task": task, "instance_id": instance, "rollout_id": 0, "steps": 120,
        "frames_per_second": 30, "stages": 3, "dimensions": ["0 base velocity", "1 left arm"],
        "predictions": {
            "step": [0, 20, 40, 60, 80, 100],
            "raw_stage": [0, 2, 1, 1, 1, 2],
            "voted_stage": [0, 0, 0, 1, 1, 2],
            "stage": [0, 0, 0, 1, 1, 2],
            "opened": [[], [], [1], [], [], []],
            "overlap_error": [None, 0.1, 0.02, 0.03, 0.01, 0.02],
        },
        "pairs": [[chunk(0), chunk(20)], [chunk(40), chunk(60)]],
    }  # fmt: skip


def write(root: Path, evaluation: str, task: str, instance: int) -> str:
    """Write a trace where it belongs; returns its path as a merged result gives it."""
    path = trace_path(Results(root).episode(evaluation, task, instance, 0))
    write_trace(path, trace(task, instance))
    return path.relative_to(root).as_posix()
