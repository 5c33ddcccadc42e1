"""Result files as the official evaluators of 2025 and 2026 write them, for tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hearth.benchmark import Benchmark, load_benchmark
from hearth.core.settings import Settings, validate_settings

RADIO, TRASH = "turning_on_radio", "picking_up_trash"
TABLE_2025 = f"""Task ID,Task,Public Test Instance IDs
0,{RADIO},"242, 295, 211, 203, 109, 181, 197, 187, 214, 139, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20"
1,{TRASH},"196, 67, 155, 106, 161, 245, 171, 1, 2, 3, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30"
"""


def experiment(
    results: Path, year: int, tasks: list[str] | None = None
) -> tuple[Settings, Benchmark]:
    """Settings without an evaluation of their own, and the benchmark of that year."""
    values = {
        "experiment": "test", "results": str(results), "benchmark": f"behavior-{year}",
        "tasks": tasks or [], "data": {"dataset": "demonstrations"},
        "report": {"bootstrap_samples": 200},
    }  # fmt: skip
    return validate_settings(values, source="test"), load_benchmark(f"behavior-{year}")


def result_2025(
    q: float, time: float = 0.5, distances: tuple[float, ...] = (0.5, 0.4, 0.2)
) -> dict[str, Any]:
    parts = dict(zip(("base", "left", "right"), distances, strict=True))
    return {
        "agent_distance": dict.fromkeys(parts, 2.0),
        "normalized_agent_distance": parts,
        "q_score": {"final": q},
        "time": {"simulator_steps": 500, "simulator_time": 16.67, "normalized_time": time},
    }


def result_2026(task: str, instance: int, q: float, rollout: int = 0, **more: Any) -> dict:
    identity = {"task": task, "instance_id": instance, "rollout_id": rollout, "steps": 500}
    return {**identity, "success": q == 1.0, **result_2025(q, **more)}


def write_file(folder: Path, name: str, values: Any, video: bool = True) -> Path:
    """Write ``json/<name>.json`` and, if wanted, ``videos/<name>.mp4``."""
    path = folder / "json" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(values if isinstance(values, str) else json.dumps(values, indent=4))
    if video:
        film = folder / "videos" / f"{name}.mp4"
        film.parent.mkdir(parents=True, exist_ok=True)
        film.write_bytes(b"film of " + name.encode())
    return path


def write_2026(
    folder: Path, task: str, scores: dict[int, float], video: bool = True, **more: Any
) -> None:
    """One file per instance."""
    for instance, q in scores.items():
        values = result_2026(task, instance, q, **more)
        write_file(folder, f"{task}_{instance}_0", values, video)


def write_2025(
    folder: Path, task: str, scores: dict[int, float], video: bool = True, **more: Any
) -> None:
    for number, q in scores.items():
        write_file(folder, f"{task}_{number}_0", result_2025(q, **more), video)
