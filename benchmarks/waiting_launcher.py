"""What a waiting `hearth launch evaluate` costs a login node: memory and processor time.

Starts launchers of the 2025 experiment's tasks, as a workflow does, with stand-ins for Slurm's
commands (a job array that runs for ever), and looks at them when all wait. The baseline is a Python
interpreter that only sleeps.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from hearth.benchmark import load_benchmark
from hearth.core.files import write_json
from hearth.core.results import Results
from hearth.core.settings import load_settings

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / "config/behavior-2025.yaml"
SBATCH = """#!/bin/sh
[ "$1" = --version ] && exit
name=$(sed -n 's/^#SBATCH --job-name=//p' "$1")
last=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\).*/\\1/p' "$1")
job=$(basename "$0" | wc -c)$$
for part in $(seq 0 "$last"); do echo "${job}_$part|RUNNING|$name|None" >> "$0.queue"; done
echo "Submitted batch job $job"
"""
SQUEUE = """#!/bin/sh
echo asked >> "$0.calls"
cat "$(dirname "$0")/sbatch.queue" 2> /dev/null
exit 0
"""


def write_commands(folder: Path) -> None:
    """Stand-ins for sbatch, squeue and scancel."""
    for name, text in (("sbatch", SBATCH), ("squeue", SQUEUE), ("scancel", "#!/bin/sh\n")):
        path = folder / name
        path.write_text(text)
        path.chmod(0o755)


def start(task: str, results: str, commands: Path) -> subprocess.Popen[bytes]:
    """A launcher of two shards of one task."""
    overrides = [f"results={results}", "launcher.executor=slurm", "launcher.shards=2"]
    words = [word for override in overrides for word in ("--set", override)]
    return subprocess.Popen(
        [sys.executable, "-m", "hearth", "launch", "evaluate", "--config", str(CONFIG),
         "--evaluation", "public", "--task", task, *words],
        env={**os.environ, "PATH": f"{commands}:{os.environ['PATH']}"},
        stderr=subprocess.DEVNULL,
    )  # fmt: skip


def seconds(processes: list[psutil.Process]) -> float:
    """Processor time so far, of ended children too."""
    times = [process.cpu_times() for process in processes]
    return sum(t.user + t.system + t.children_user + t.children_system for t in times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--launchers", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    tasks = load_benchmark("behavior-2025").task_names[: options.launchers]
    sleep = [sys.executable, "-c", "import time; time.sleep(10_000)"]
    with tempfile.TemporaryDirectory() as results, tempfile.TemporaryDirectory() as folder:
        commands = Path(folder)
        write_commands(commands)
        settings = load_settings(CONFIG, [f"results={results}"])
        write_json(Results.of(settings).bundle("main") / "provenance.json", {"hash": "0"})
        started = [subprocess.Popen(sleep), *(start(task, results, commands) for task in tasks)]
        try:
            queue = commands / "sbatch.queue"
            while not queue.exists() or len(queue.read_text().split()) < 2 * len(tasks):
                time.sleep(0.5)
            time.sleep(5.0)
            baseline, *launchers = [psutil.Process(process.pid) for process in started]
            asked = len((commands / "squeue.calls").read_text().split())
            before = seconds(launchers)
            time.sleep(options.seconds)
            spent = (seconds(launchers) - before) / len(launchers) / options.seconds
            asked = len((commands / "squeue.calls").read_text().split()) - asked
            report(baseline, launchers)
            print(f"{100 * spent:.3f} % of a core each, the commands they call included")
            print(f"squeue: {asked} calls of {len(launchers)} launchers in {options.seconds:g} s")
        finally:
            for process in started:
                process.kill()
                process.wait()


def report(baseline: psutil.Process, launchers: list[psutil.Process]) -> None:
    """Memory: resident, and private to a process, so without what launchers share."""
    alone = baseline.memory_full_info()
    print(f"{'python that sleeps (baseline)':32s}{alone.rss / 1e6:7.1f} MB")
    for launcher in launchers:
        found = launcher.memory_full_info()
        print(
            f"{'hearth launch evaluate':32s}{found.rss / 1e6:7.1f} MB resident "
            f"({found.rss / alone.rss:.1f} x), {found.uss / 1e6:.1f} MB of it private"
        )


if __name__ == "__main__":
    main()
