"""Which jobs are left by a killed Snakemake. tests/cluster cancels real ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from hearth.cli import main
from hearth.core.errors import LaunchError
from hearth.core.settings import load_settings
from hearth.launch import leftovers
from hearth.launch.names import experiment_key, job_name
from hearth.launch.queue import QueuedJob

CONFIG = Path(__file__).parents[3] / "config/test.yaml"


def test_only_the_executors_jobs_of_this_experiment_are_cancelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = load_settings(CONFIG)
    key = experiment_key(settings)
    others = [
        QueuedJob("1", "RUNNING", job_name(settings, "train", "main"), key=key),
        QueuedJob("2", "RUNNING", "8f6c", key="hearth-00000000", comment="rule_prepare"),
        QueuedJob("3", "RUNNING", "my job"),
    ]
    mine = [QueuedJob("4", "PENDING", "8f6c", key=key), QueuedJob("5", "RUNNING", "8f6c", key=key)]
    answers = [[*others, *mine], [*others, mine[1]], others]
    cancelled: list[list[str]] = []
    monkeypatch.setattr(leftovers.shutil, "which", lambda name: name)
    monkeypatch.setattr(leftovers, "_LOOK_SECONDS", 0.0)
    monkeypatch.setattr(leftovers, "squeue", lambda: answers.pop(0))
    monkeypatch.setattr(leftovers, "command", cancelled.append)
    assert leftovers.cancel_leftovers(settings) == mine
    assert cancelled == [["scancel", "4", "5"]] and not answers, "it waited for their end"

    monkeypatch.setattr(leftovers, "_END_SECONDS", -1.0)
    monkeypatch.setattr(leftovers, "squeue", lambda: mine)
    with pytest.raises(LaunchError, match=r"jobs 4, 5 were cancelled and have not ended"):
        leftovers.cancel_leftovers(settings)


def test_without_slurm_there_is_nothing_to_cancel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["cluster", "clear", "--config", str(CONFIG)]) == 0
    assert capsys.readouterr().out == ""
