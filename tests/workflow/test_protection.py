"""Nothing is lost by a typo, nor by an edit: what the workflow refuses, and what moves nothing."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workflow.conftest import BIN, ROOT, TASK, Workflow

pytestmark = [pytest.mark.workflow, pytest.mark.xdist_group("workflow")]


def _files(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of everything that lies there, but of locks."""
    found = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"]
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in found}


def test_a_protected_experiment_refuses_and_keeps_every_file(finished: Workflow) -> None:
    assert finished.planned(overrides="protect=true") == set(), "unchanged is fine"
    before = _files(finished.results)
    changed = (
        "protect=true demonstrations.action_noise=0.1 runs.main.steps=8 "
        "evaluations.trained.runtime.flow_steps=4 evaluations.expert.policy=main"
    )
    result = finished.run(overrides=changed)
    output = result.stdout + result.stderr
    assert result.returncode != 0
    assert "Traceback" not in output
    for part in (
        "'protect' keeps",
        f"demonstrations of {TASK}: action_noise: 0.04 -> 0.1",
        "run 'main': run.steps: 6 -> 8",
        "evaluation 'trained': runtime.flow_steps: 10 -> 4",
        "evaluation 'expert': policy: expert -> main",
        "protect=false",
    ):
        assert part in output, output[-3000:]
    fewer = finished.run(overrides="protect=true demonstrations.episodes_per_task=2")
    assert fewer.returncode != 0
    assert "episodes_per_task: 3 -> 2" in fewer.stdout + fewer.stderr
    assert _files(finished.results) == before


@pytest.mark.parametrize("command", ["evaluate", "merge", "train", "demos"])
def test_the_commands_of_a_protected_experiment_refuse_too(
    finished: Workflow, command: str
) -> None:
    before = _files(finished.results)
    which = {"train": ["--run", "main"], "demos": ["--task", TASK]}
    result = subprocess.run(
        [
            str(BIN / "hearth"), command, "--config", str(finished.config),
            *which.get(command, ["--evaluation", "trained"]),
            "--set", f"results={finished.folder / 'results'}", "--set", "protect=true",
            "--set", "evaluations.trained.runtime.flow_steps=4", "--set", "seed=7",
        ],
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert result.returncode == 1
    assert "seed: 0 -> 7" in result.stderr and "protect" in result.stderr, result.stderr
    assert _files(finished.results) == before


def _checkout(folder: Path) -> Path:
    """A copy of the checkout in which every line has moved and every rule runs otherwise."""
    for name in ("src", "workflow", "config"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (folder / "src").rglob("*.py"):
        path.write_text(f"# edited\n{path.read_text()}")
    for path in (folder / "workflow").rglob("*.smk"):
        text = path.read_text()
        path.write_text(text.replace("2>&1 | tee -i {log}", "2>&1 | tee --append {log}"))
    shutil.copy(ROOT / "Snakefile", folder)
    return folder


def test_edited_code_reruns_nothing(
    finished: Workflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edited = _checkout(tmp_path / "edited")
    monkeypatch.setenv("PYTHONPATH", str(edited / "src"))
    where = "import hearth; print(hearth.__file__)"
    loaded = subprocess.run([sys.executable, "-c", where], capture_output=True, text=True)
    assert loaded.stdout.startswith(str(edited)), "the edited code is not what runs"
    snakefile = ["--snakefile", str(edited / "Snakefile")]
    assert finished.planned(*snakefile) == set()
    # With code as a trigger the edit is seen: the profile is what keeps it from retraining.
    seen = finished.planned(*snakefile, "--rerun-triggers", "code")
    assert {"demonstrations", "train", "evaluate"} <= seen
