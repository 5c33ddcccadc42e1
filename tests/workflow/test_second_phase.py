"""The second phase in the workflow: what follows from which scores, and one run of it all."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from pathlib import Path

import pytest
import yaml

from hearth.cli import main
from hearth.core.files import read_json, write_json
from hearth.core.finetuning import VALIDATION
from hearth.core.results import Results
from hearth.core.settings import load_settings
from tests.workflow.conftest import CONFIG, TASK, Workflow

pytestmark = [pytest.mark.workflow, pytest.mark.xdist_group("workflow")]

RADIO, TRASH, WATER = TASKS = ("turning_on_radio", "picking_up_trash", "bringing_water")
SCORES = {RADIO: 1.0, TRASH: 0.0, WATER: 0.0}
SECOND = {
    **CONFIG,
    "tasks": list(TASKS),
    "runs": {"main": CONFIG["runs"]["main"]},
    "finetuning": {"run": {"steps": 3}, "validation": {"instances": 1}},
    "evaluations": {"second": {"policy": "finetuned", "instances": 1}},
    "report": {},
}


@pytest.fixture
def first_phase(tmp_path: Path) -> Workflow:
    """Everything up to the scores of the first phase, made up, each file newer than the last."""
    workflow = Workflow(tmp_path)
    workflow.config.write_text(yaml.safe_dump(SECOND))
    settings = load_settings(workflow.config, [f"results={tmp_path / 'results'}"])
    results, episode = Results.of(settings), {"instance_id": 201, "rollout_id": 0}
    files = [results.demonstrations(task) for task in TASKS]
    files += [results.dataset_index, *map(results.prepared, TASKS)]
    files += [*map(results.task_statistics, TASKS), results.statistics, results.trained("main")]
    write_json(results.bundle("main") / "provenance.json", {"hash": "0123456789abcdef"})
    for path in files:
        write_json(path, {})
    for task, q in SCORES.items():
        found = {
            **episode, "status": "success" if q == 1.0 else "timeout", "q": q, "success": q == 1.0,
            "steps": 9, "normalized_time": 0.8, "video": None,
        }  # fmt: skip
        write_json(
            results.task_result(VALIDATION, task),
            {
                "evaluation": VALIDATION, "task": task, "split": "validation", "policy": "main",
                "policy_hash": "0123456789abcdef", "config_hash": "", "episodes": [found],
                "instances_due": [[201, 0]],
            },
        )  # fmt: skip
    scores = [results.task_result(VALIDATION, task) for task in TASKS]
    begin = time.time() - 1000
    for age, path in enumerate([*files, *scores]):
        os.utime(path, (begin + age, begin + age))
    return workflow


def test_groups_and_their_runs_follow_from_the_scores(first_phase: Workflow) -> None:
    unknown = {"task_groups", "evaluate", "leaderboard"}
    assert first_phase.planned() == unknown, "whom to fine-tune is not known yet"
    overrides = f"results={first_phase.folder / 'results'}"
    assert main(["groups", "--config", str(first_phase.config), "--set", overrides]) == 0
    plan = first_phase.run("-n")
    text = plan.stdout + plan.stderr
    assert plan.returncode == 0, text
    trained = set(re.findall(r"output: \S*/runs/([^/]+)/finished.json", text))
    assert trained == {"main-best", "main-bad"}, "nobody is good"
    played = dict(re.findall(r"input: \S*/runs/([^/]+)/finished.json\n\s*output: (\S+)", text))
    assert played["main-best"].endswith(f"evaluation/second/{RADIO}.json")
    assert len(re.findall(r"rule evaluate:", text)) == 3


def test_the_second_phase_runs_to_its_leaderboard(finished: Workflow, tmp_path: Path) -> None:
    workflow = Workflow(tmp_path)
    others = shutil.ignore_patterns("evaluation", "leaderboard", "logs", "untrained")
    shutil.copytree(finished.results, workflow.results, ignore=others)
    play = {"instances": 1, "image_size": 32, "workers": 1}
    runs = {"main": CONFIG["runs"]["main"]}
    phases = {"finetuning": {"run": {"steps": 3}, "validation": play}, "runs": runs}
    second = {"second": {"policy": "finetuned", **play}}
    values = {**CONFIG, **phases, "evaluations": second, "report": {"bootstrap_samples": 200}}
    workflow.config.write_text(yaml.safe_dump(values))
    first = (workflow.results / "runs/main/finished.json").read_bytes()

    done = workflow.run()
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-8000:]
    assert read_json(workflow.results / "groups.json")["groups"] == {"bad": [TASK]}
    assert sorted(path.name for path in (workflow.results / "runs").iterdir()) == [
        "main", "main-bad"
    ]  # fmt: skip
    assert (workflow.results / "runs/main/finished.json").read_bytes() == first, "not trained again"
    tuned = read_json(workflow.results / "runs/main-bad/finished.json")
    provenance = read_json(workflow.results / "runs/main-bad/policy/provenance.json")
    assert provenance["initial_weights"]["hash"] == json.loads(first)["bundle_hash"]
    validation, played = (
        read_json(workflow.results / f"evaluation/{name}/{TASK}.json")
        for name in (VALIDATION, "second")
    )
    assert played["complete"] and played["policy_hash"] == tuned["bundle_hash"]
    assert validation["split"] == "validation" and played["split"] != "validation"
    board = (workflow.results / "leaderboard/leaderboard.csv").read_text()
    assert ",second,main-bad," in board and VALIDATION not in board
    assert workflow.planned() == set()
