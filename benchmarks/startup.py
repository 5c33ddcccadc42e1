"""Start-up times: `hearth --help`, and a dry run of the 50-task experiment.

The dry run looks at a generated index of the 2025 layout: 50 tasks with 200 episodes each. Prints
each median and its ratio to the baseline, the start of an empty Python interpreter.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from hearth.benchmark import load_benchmark
from hearth.data.lerobot import layout
from hearth.data.lerobot.index import dataset_info

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
REPEATS = 5
EPISODES = 200  # of each task, as published
VIDEO_PIXELS = 224


def median_seconds(command: list[str]) -> float:
    """Median wall time of `REPEATS` runs after one warm-up."""
    times = []
    for _ in range(REPEATS + 1):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def write_index(root: Path) -> None:
    """The meta files of the published data set's size, without tables and videos."""
    benchmark = load_benchmark("behavior-2025")
    tasks: list[dict[str, Any]] = []
    episodes: list[dict[str, Any]] = []
    for task in benchmark.tasks:
        text = task.name.replace("_", " ")
        tasks.append({"task_index": task.index, "task_name": task.name, "task": text})
        for number in range(1, EPISODES + 1):
            index = layout.episode_index(task.index, number)
            length = round(task.human_length_frames)
            episodes.append(
                {"episode_index": index, "task": task.name, "tasks": [text], "length": length}
            )
    info = dataset_info(benchmark, episodes, VIDEO_PIXELS)
    meta = root / "meta"
    meta.mkdir(parents=True)
    for name, rows in (("tasks", tasks), ("episodes", episodes)):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (meta / f"{name}.jsonl").write_text(text)
    (meta / "info.json").write_text(json.dumps(info))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_index(Path(folder) / "dataset")
        overrides = f"data.dataset={folder}/dataset results={folder}/results"
        commands = {
            "python -c pass (baseline)": [sys.executable, "-c", "pass"],
            "hearth --help": [str(BIN / "hearth"), "--help"],
            "snakemake -n, 50 tasks": [
                str(BIN / "snakemake"), "-n", "--quiet", "all",
                "--configfile", "config/behavior-2025.yaml", "--profile", "profiles/local",
                "--config", f"set={overrides}",
            ],
        }  # fmt: skip
        baseline = None
        for name, command in commands.items():
            seconds = median_seconds(command)
            baseline = baseline or seconds
            print(f"{name:28s} {seconds:6.2f} s  {seconds / baseline:6.1f} x baseline")


if __name__ == "__main__":
    main()
