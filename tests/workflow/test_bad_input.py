"""Files that are damaged or of something else, under the commands as the workflow calls them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hearth.core.statistics import Statistics
from tests.workflow.conftest import BIN, TASK, Workflow

pytestmark = [pytest.mark.workflow, pytest.mark.xdist_group("workflow")]


def _halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _cut_film(results: Path) -> None:
    _halve(next(results.rglob("videos/*/observation.images.rgb.head/episode_*.mp4")))
    shutil.rmtree(results / "episodes")


def _lose_table(results: Path) -> None:
    next(results.rglob("data/*/episode_*.parquet")).unlink()
    shutil.rmtree(results / "episodes")


def _cut_episodes(results: Path) -> None:
    _halve(results / f"episodes/{TASK}.h5")
    shutil.rmtree(results / "statistics")


def _other_statistics(results: Path) -> None:
    path = results / "statistics.h5"
    replace(Statistics.load(path), source_hash="0123456789abcdef").save(path)
    shutil.rmtree(results / "runs/main")


def _cut_statistics(results: Path) -> None:
    _halve(results / "statistics.h5")
    shutil.rmtree(results / "runs/main")


def _edited_bundle(results: Path) -> None:
    bundle = results / "runs/main/policy/benchmark.json"
    bundle.write_text(bundle.read_text().replace('"r1pro"', '"fetch"'))


# What was done to the results; the command; what its one line of error names.
FAULTS: dict[str, tuple[Callable[[Path], None], list[str], list[str]]] = {
    "a film cut in the middle": (_cut_film, ["prepare", "--task", TASK], ["mp4"]),
    "a lost table": (_lose_table, ["prepare", "--task", TASK], ["parquet", "does not exist"]),
    "episodes cut in the middle": (
        _cut_episodes, ["statistics"], [f"{TASK}.h5", "cannot be read", "prepare the task"],
    ),
    "statistics of another data set": (
        _other_statistics, ["train", "--run", "main"],
        ["another data set", "0123456789abcdef", "hearth statistics"],
    ),
    "statistics cut in the middle": (
        _cut_statistics, ["train", "--run", "main"], ["cannot read statistics", "statistics.h5"],
    ),
    "an edited bundle": (
        _edited_bundle,
        ["watch", "--task", TASK, "--policy", "results/small/runs/main/policy"],
        ["was changed or truncated", "benchmark.json"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_one_line_that_names_it(finished: Workflow, tmp_path: Path, name: str) -> None:
    break_it, command, parts = FAULTS[name]
    results = tmp_path / "results" / "small"
    shutil.copytree(finished.results, results, ignore=shutil.ignore_patterns("compiled"))
    break_it(results)
    found = subprocess.run(
        [
            str(BIN / "hearth"), *command, "--config", str(finished.config),
            "--set", f"results={tmp_path / 'results'}",
        ],
        capture_output=True, text=True, timeout=240, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert found.returncode == 1, found.stdout + found.stderr
    assert "Traceback" not in found.stderr
    said = found.stderr[found.stderr.index("hearth: ") :]
    for part in parts:
        assert part in said, found.stderr[-3000:]
