"""A full disk under each command: one line that names the file, nothing half, and on it goes.

The disk is a real one where the system lets us mount it; elsewhere a limit on the size of files
stands in for it, which refuses the same writes with other words.
"""

from __future__ import annotations

import contextlib
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.workflow.conftest import BIN, TASK, Workflow
from tests.workflow.whole_files import assert_whole

pytestmark = [pytest.mark.workflow, pytest.mark.xdist_group("workflow")]

# Per command: its arguments; what it makes; the kilobytes that are left on the disk, which are
# enough to begin; the size of files that is allowed where nothing can be mounted.
COMMANDS: dict[str, tuple[list[str], list[str], int, int]] = {
    "demos": (["--task", TASK, "--workers", "1"], ["dataset", "demonstrations"], 60, 4000),
    "statistics": ([], ["statistics", "statistics.h5"], 1000, 100_000),
    "tokenizer": ([], ["tokenizer"], 0, 1000),
    "train": (["--run", "main", "--set", "runs.main.steps=2"], ["runs/main"], 500, 500_000),
    "merge": (["--evaluation", "trained"], [f"evaluation/trained/{TASK}.json"], 0, 100),
    "report": ([], ["leaderboard"], 40, 3000),
    "watch": (["--task", TASK, "--size", "64"], ["film.mp4"], 0, 1000),
}


@dataclass
class Disk:
    """A folder, and how to leave little room in it."""

    folder: Path
    mounted: bool

    def fill(self, kilobytes: int) -> None:
        """Leave so much."""
        free = shutil.disk_usage(self.folder).free - 1024 * kilobytes
        with (self.folder / "filler").open("wb") as file:
            file.write(bytes(free))

    def free(self) -> None:
        (self.folder / "filler").unlink(missing_ok=True)


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Disk]:
    """A file system of its own at `folder`, if the system lets us."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=96m", "hearth-test", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    try:
        yield Disk(folder, mounted)
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk(finished: Workflow, tmp_path: Path, name: str) -> None:
    arguments, made, kilobytes, largest = COMMANDS[name]
    with small_disk(tmp_path / "disk") as disk:
        results = disk.folder / "results" / "small"
        shutil.copytree(finished.results, results, ignore=shutil.ignore_patterns("compiled"))
        for path in [results / part for part in made]:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        output = ["--output", str(results / "film.mp4")] if name == "watch" else []
        command = [
            str(BIN / "hearth"), name, "--config", str(finished.config),
            "--set", f"results={disk.folder / 'results'}", *arguments, *output,
        ]  # fmt: skip

        def run(limit: Callable[[], None] | None = None) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                command, capture_output=True, text=True, timeout=240, check=False, preexec_fn=limit
            )

        if disk.mounted:
            disk.fill(kilobytes)
            failed = run()
        else:
            failed = run(lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest)))
        assert failed.returncode == 1, failed.stderr[-4000:]
        (line,) = [line for line in failed.stderr.splitlines() if line.startswith("hearth:")]
        where = made[0].split("/")[0]
        assert f"into {results / where}" in line or f"write {results / where}" in line, line
        if disk.mounted:
            assert "No space left on device" in line
            assert "Traceback" not in failed.stderr, failed.stderr[-4000:]
        assert_whole(results)
        assert not list(results.rglob("*.tmp"))

        disk.free()
        again = run()
        assert again.returncode == 0, again.stderr[-4000:]
        assert (results / made[-1]).exists()
        assert_whole(results)
