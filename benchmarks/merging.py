"""Merging 10,000 episode files (aim: under 3 s), and the leaderboard of 10,000 episodes (20 s).

Writes synthetic results of the scripted expert below a temporary folder. Prints seconds.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from hearth.benchmark import Benchmark, load_benchmark
from hearth.core.results import Results
from hearth.core.settings import Settings, validate_settings
from hearth.evaluation import identity
from hearth.evaluation.merge import merge_and_write
from hearth.reporting.tables import write_leaderboard

EVALUATIONS = 10


def experiment(results: str) -> Settings:
    """Ten evaluations of 100 tasks with 10 instances each."""
    evaluation = {"policy": "expert", "video": False}
    values = {
        "experiment": "merging", "results": results, "benchmark": "behavior-2026",
        "data": {"dataset": "none"},
        "evaluations": {f"evaluation-{index}": evaluation for index in range(EVALUATIONS)},
    }  # fmt: skip
    return validate_settings(values, source="benchmark")


def write_results(settings: Settings, benchmark: Benchmark) -> int:
    """One file per episode due; returns their number."""
    generator, count = np.random.default_rng(0), 0
    results = Results.of(settings)
    for index, name in enumerate(settings.evaluations):
        for task in benchmark.task_names:
            hashes = identity.hashes(settings, benchmark, name, task)
            for key in identity.due_episodes(settings, benchmark, name):
                q = float(np.clip(np.round(generator.normal(0.1 * index, 0.4) * 4) / 4, 0.0, 1.0))
                path = results.episode(name, task, *key)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(_episode(task, key, q, hashes), indent=1))
                count += 1
    return count


def _episode(task: str, key: identity.Key, q: float, hashes: dict[str, str]) -> dict[str, Any]:
    parts = dict.fromkeys(("base", "left", "right"), 0.9)
    time_ = {"simulator_steps": 2000, "simulator_time": 66.7, "normalized_time": 1.1}
    return {
        "task": task, "instance_id": key[0], "rollout_id": key[1], "steps": 2000,
        "success": q == 1.0, "status": "success" if q == 1.0 else "timeout",
        "q_score": {"final": q},
        "time": time_, "agent_distance": parts, "normalized_agent_distance": parts,
        "provenance": hashes,
    }  # fmt: skip


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        settings = experiment(folder)
        benchmark = load_benchmark(settings.benchmark)
        count = write_results(settings, benchmark)
        start = time.perf_counter()
        for name in settings.evaluations:
            for task in benchmark.task_names:
                merge_and_write(settings, name, task, benchmark)
        print(f"merge {count:,} episode files: {time.perf_counter() - start:.2f} s")
        start = time.perf_counter()
        tasks, names = benchmark.task_names, list(settings.evaluations)
        root = Results.of(settings).root
        write_leaderboard(root, names, tasks, settings.report, settings.seed, benchmark.name)
        print(f"leaderboard of {len(names)} evaluations: {time.perf_counter() - start:.2f} s")
        size = (Path(root) / "leaderboard" / "index.html").stat().st_size / 1e6
        print(f"page: {size:.1f} MB; jax imported: {'jax' in sys.modules}")


if __name__ == "__main__":
    main()
