"""Ctrl-C and kill -9 the moment before a file appears: nothing half, and the next run completes."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workflow.conftest import BIN, TASK, Workflow
from tests.workflow.whole_files import assert_whole

pytestmark = [pytest.mark.workflow, pytest.mark.xdist_group("workflow")]

# Per command: its arguments; what it makes, the file that ends it last; and the files before which
# Ctrl-C and kill -9 come.
COMMANDS: dict[str, tuple[list[str], str, str, str]] = {
    "tokenizer": ([], "tokenizer/tokenizer.json", "tokenizer/report", "tokenizer/tokenizer"),
    "finetune": (
        ["--run", "branch", "--from", "main", "--set", "runs.branch.steps=2"],
        "runs/branch/finished.json", "branch/metrics.jsonl", "branch/finished.json",
    ),
    "merge": (
        ["--evaluation", "trained", "--task", TASK],
        f"evaluation/trained/{TASK}.json", f"trained/{TASK}.json", f"trained/{TASK}.json",
    ),
    "report": ([], "leaderboard/index.html", "leaderboard/leaderboard.csv", "index.html"),
    "watch": (["--task", TASK, "--size", "64"], "film.mp4", "film.mp4", "film.mp4"),
}  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_stopped_the_moment_before_a_file(finished: Workflow, tmp_path: Path, name: str) -> None:
    arguments, made, at_interrupt, at_kill = COMMANDS[name]
    results = tmp_path / "results" / "small"
    shutil.copytree(finished.results, results, ignore=shutil.ignore_patterns("compiled"))
    last = results / made
    # What a command makes lies together; the merge's episodes are not made by it.
    if name == "merge":
        last.unlink()
    elif last.parent != results:
        shutil.rmtree(last.parent, ignore_errors=True)
    output = ["--output", str(last)] if name == "watch" else []
    command = [
        name, "--config", str(finished.config), "--set", f"results={tmp_path / 'results'}",
        *arguments, *output,
    ]  # fmt: skip

    def stopped(number: signal.Signals, pattern: str) -> subprocess.CompletedProcess[str]:
        script = str(Path(__file__).with_name("stop_at_write.py"))
        found = subprocess.run(
            [sys.executable, script, str(int(number)), pattern, *command],
            capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        assert f"signal {int(number)} before" in found.stderr, found.stderr[-2000:]
        assert_whole(results)
        return found

    interrupted = stopped(signal.SIGINT, at_interrupt)
    assert interrupted.returncode == 130, interrupted.stderr[-2000:]
    assert "Traceback" not in interrupted.stderr
    last.unlink(missing_ok=True)  # a merge writes in a thread, which came to its end
    assert stopped(signal.SIGKILL, at_kill).returncode == -signal.SIGKILL
    assert not last.exists()
    again = subprocess.run(
        [str(BIN / "hearth"), *command], capture_output=True, text=True, timeout=240, check=False
    )
    assert again.returncode == 0, again.stderr[-4000:]
    assert last.exists()
    assert_whole(results)
    if name == "finetune":
        assert "goes on from step" in again.stderr, "it started over"
