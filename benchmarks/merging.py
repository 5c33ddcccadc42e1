"""Merging 10,000 episode files (aim: under 3 s) and the page of 10,000 episodes (20 s, paint 1 s).

Writes synthetic results of the scripted expert below a temporary folder. Prints seconds, and their
ratio to the baseline: reading and parsing the same 10,000 files, which every report has to do. The
page is opened in headless Chromium where there is one.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hearth.benchmark import Benchmark, load_benchmark
from hearth.core.files import read_json
from hearth.core.results import Results
from hearth.core.settings import Settings, validate_settings
from hearth.evaluation import identity
from hearth.evaluation.merge import merge_all
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
        "goals": [
            {"text": f"on_top item_{index} table_1", "initially": False, "now": index < 4 * q}
            for index in range(4)
        ],
        "time": time_, "agent_distance": parts, "normalized_agent_distance": parts,
        "provenance": hashes,
    }  # fmt: skip


def first_paint(page: Path) -> dict[str, float] | None:
    """Milliseconds until the first paint and until all squares are drawn; None without Chromium."""
    chromium = shutil.which("chromium") or shutil.which("chrome")
    if chromium is None:
        return None
    from playwright.sync_api import sync_playwright

    paint = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        opened = browser.new_page()
        opened.goto("about:blank")
        opened.goto(page.as_uri())
        opened.wait_for_function(paint)
        found = {"first paint": opened.evaluate(paint)}
        start = time.perf_counter()
        opened.locator("#episodes").scroll_into_view_if_needed()
        opened.wait_for_function("document.querySelectorAll('.boards .square').length >= 1000")
        found["a board of 1,000 squares, once scrolled to"] = 1e3 * (time.perf_counter() - start)
        browser.close()
    return found


def timed(what: str, work: Callable[[], object], baseline: float | None = None) -> float:
    """Run `work`, print its wall and processor time and the ratio of the latter; returns it."""
    start, start_cpu = time.perf_counter(), time.process_time()
    work()
    wall, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    ratio = "baseline" if baseline is None else f"{cpu / baseline:.1f} x baseline"
    print(f"{what}: {wall:.2f} s, {cpu:.2f} s of processor time, {ratio}")
    return cpu


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        settings = experiment(folder)
        benchmark = load_benchmark(settings.benchmark)
        count = write_results(settings, benchmark)
        root = Results.of(settings).root
        tasks, names = benchmark.task_names, list(settings.evaluations)
        lengths = {task.name: task.human_length_frames for task in benchmark.tasks}

        def read() -> None:
            for path in sorted(root.glob("evaluation/*/episodes/*.json")):
                read_json(path)

        def merge() -> None:
            for name in names:
                merge_all(settings, name, tasks, benchmark)

        def report() -> None:
            write_leaderboard(
                root, names, tasks, settings.report, settings.seed, benchmark.name, lengths
            )

        baseline = timed(f"read {count:,} episode files", read)
        timed("merge them", merge, baseline)
        timed(f"leaderboard and page of {len(names)} evaluations", report, baseline)
        page = root / "leaderboard" / "index.html"
        later = sum(path.stat().st_size for path in (page.parent / "data").iterdir())
        print(f"page: {page.stat().st_size / 1e6:.1f} MB, loaded later: {later / 1e6:.1f} MB")
        print(f"jax imported: {'jax' in sys.modules}")
        for what, milliseconds in (first_paint(page) or {}).items():
            print(f"{what}: {milliseconds / 1e3:.2f} s")


if __name__ == "__main__":
    main()
