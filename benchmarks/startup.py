"""Start-up times: `hearth --help`, and a dry run of the 50-task experiment.

Prints each median and its ratio to the baseline, the start of an empty Python interpreter.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
REPEATS = 5


def median_seconds(command: list[str]) -> float:
    """Median wall time of `REPEATS` runs after one warm-up."""
    times = []
    for _ in range(REPEATS + 1):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        index = Path(folder) / "dataset" / "meta" / "info.json"
        index.parent.mkdir(parents=True)
        index.write_text("{}")
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
