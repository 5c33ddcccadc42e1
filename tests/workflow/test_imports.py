"""Sections of `imports`: result folders from elsewhere are inputs of the workflow."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.unit.reporting.official_files import RADIO, result_2026, write_2026, write_file
from tests.workflow.conftest import ROOT, Workflow

pytestmark = pytest.mark.workflow


@pytest.fixture
def workflow(tmp_path: Path) -> Workflow:
    """A board of two imports and no evaluation, of a benchmark with one task."""
    values = yaml.safe_load((ROOT / "config/benchmarks/behavior-2026.yaml").read_text())
    values["tasks"] = [task for task in values["tasks"] if task["name"] == RADIO]
    (tmp_path / "benchmark.yaml").write_text(yaml.safe_dump(values))
    config = {
        "experiment": "small", "benchmark": str(tmp_path / "benchmark.yaml"),
        "data": {"dataset": str(tmp_path / "none")}, "report": {"bootstrap_samples": 200},
        "imports": {
            "comet": {"folder": str(tmp_path / "comet"), "policy": "openpi-comet"},
            "again": {"folder": str(tmp_path / "again 2"), "policy": "openpi-comet"},
        },
    }  # fmt: skip
    workflow = Workflow(tmp_path)
    workflow.config.write_text(yaml.safe_dump(config))
    write_2026(tmp_path / "comet", RADIO, dict.fromkeys(range(301, 310), 1.0))
    write_2026(tmp_path / "again 2", RADIO, dict.fromkeys(range(301, 311), 0.5))
    return workflow


def table(workflow: Workflow) -> dict[str, list[str]]:
    """The lines of the leaderboard by evaluation."""
    lines = (workflow.results / "leaderboard/leaderboard.csv").read_text().splitlines()
    return {line.split(",")[1]: line.split(",") for line in lines[1:]}


def test_a_new_result_file_is_imported_again(workflow: Workflow) -> None:
    result = workflow.run()
    assert result.returncode == 0, result.stderr[-4000:]
    assert float(table(workflow)["comet"][6]) == 0.9, "nine of ten were played"
    assert table(workflow)["again"][2] == "openpi-comet"
    assert workflow.planned() == set()
    labels = workflow.results / "evaluation/comet/labels/saved.json"
    labels.parent.mkdir()
    labels.write_text(json.dumps({"labels": []}))
    write_file(workflow.folder / "comet", f"{RADIO}_310_0", result_2026(RADIO, 310, 1.0))
    broken = workflow.folder / "comet/json" / f"{RADIO}_309_0.json"
    broken.unlink()
    broken.symlink_to("nowhere")
    assert workflow.planned("-R", "leaderboard") == {"import_results", "leaderboard"}
    result = workflow.run()
    assert result.returncode == 0, result.stderr[-4000:]
    assert "comet: 9 results on split 'public', 1 faults" in result.stdout + result.stderr
    assert f"json/{RADIO}_309_0.json: cannot be read" in result.stdout + result.stderr
    assert float(table(workflow)["comet"][6]) == 0.9, "one came, one broke"
    assert labels.exists(), "what people said about it stays"
    assert workflow.planned(overrides="imports.again.policy=other") == {
        "import_results", "leaderboard",
    }  # fmt: skip


def test_a_folder_that_is_gone_costs_nothing_that_was_imported(workflow: Workflow) -> None:
    assert workflow.run().returncode == 0
    (workflow.folder / "comet").rename(workflow.folder / "moved")
    assert workflow.planned() == set()
    result = workflow.run(overrides="report.title=Other")
    assert result.returncode == 0 and set(table(workflow)) == {"comet", "again"}
    # Another folder that is not there is a slip, and no old results stand in for it.
    result = workflow.run(overrides=f"imports.comet.folder={workflow.folder / 'commet'}")
    assert result.returncode != 0
    said = f"imports.comet.folder: {workflow.folder / 'commet'} is not a folder"
    assert said in result.stdout + result.stderr
    (workflow.results / "evaluation/comet/imported.json").unlink()
    result = workflow.run()
    assert result.returncode != 0
    said = f"imports.comet.folder: {workflow.folder / 'comet'} is not a folder"
    assert said in result.stdout + result.stderr
    assert (workflow.results / "leaderboard/leaderboard.csv").exists()


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ("imports.comet.split=publik", "imports.comet.split 'publik': did you mean 'public'?"),
        ("imports.comet.rollouts=0", "imports.comet.rollouts' = 0"),
        ("imports.comet.folders=x", "imports.comet.folders"),
    ],
)
def test_a_wrong_section_is_named_before_any_job(
    workflow: Workflow, overrides: str, said: str
) -> None:
    result = workflow.run("-n", overrides=overrides)
    assert result.returncode != 0 and said in result.stdout + result.stderr, result.stdout
