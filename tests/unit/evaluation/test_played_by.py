"""Which run plays a task where that follows from groups of tasks."""

from __future__ import annotations

from pathlib import Path

import pytest

from hearth.benchmark import load_benchmark
from hearth.core.errors import EvaluationError
from hearth.core.files import write_json
from hearth.core.finetuning import VALIDATION
from hearth.core.results import Results
from hearth.core.settings import Settings, validate_settings
from hearth.evaluation import identity
from hearth.evaluation.merge import merge_task

RADIO, TRASH = "turning_on_radio", "picking_up_trash"


@pytest.fixture
def phases(tmp_path: Path) -> Settings:
    values = {
        "experiment": "x", "results": str(tmp_path), "benchmark": "household",
        "demonstrations": {}, "tasks": [RADIO, TRASH], "runs": {"main": {}},
        "finetuning": {"validation": {"instances": 2}},
        "evaluations": {"second": {"policy": "finetuned", "instances": 1}},
    }  # fmt: skip
    settings = validate_settings(values, source="test")
    for run in settings.run_names:
        path = Results.of(settings).bundle(run) / "provenance.json"
        write_json(path, {"hash": f"hash of {run}"})
    return settings


def test_before_the_groups_are_made_everything_is_missing(phases: Settings) -> None:
    with pytest.raises(EvaluationError, match="hearth groups"):
        identity.policy_hash(phases, "second", RADIO)
    merged = merge_task(phases, "second", RADIO)
    assert merged["policy"] == "finetuned" and merged["counts"]["missing"] == 1


def test_each_task_is_played_by_the_run_of_its_group(phases: Settings) -> None:
    write_json(Results.of(phases).groups, {"groups": {"best": [RADIO], "bad": [TRASH]}})
    assert identity.policy_hash(phases, "second", RADIO) == "hash of main-best"
    assert identity.policy_hash(phases, "second", TRASH) == "hash of main-bad"
    assert merge_task(phases, "second", TRASH)["policy"] == "main-bad"


def test_the_groups_are_made_by_the_first_run_on_other_instances(phases: Settings) -> None:
    benchmark = load_benchmark("household")
    assert identity.policy_hash(phases, VALIDATION, RADIO) == "hash of main"
    due = identity.due_episodes(phases, benchmark, VALIDATION)
    assert [key[0] for key in due] == list(benchmark.instances("validation")[:2])
    reported = identity.due_episodes(phases, benchmark, "second")
    assert not {key[0] for key in due} & {key[0] for key in reported}
