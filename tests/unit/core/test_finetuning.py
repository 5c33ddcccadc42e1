"""The second phase in the settings: whose weights, which tasks, which run plays a task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from hearth.benchmark import load_benchmark
from hearth.cli import main
from hearth.commands.checks import benchmark_of
from hearth.commands.finetune import branch
from hearth.core.errors import SettingsError, TrainingError
from hearth.core.files import write_json
from hearth.core.finetuning import VALIDATION
from hearth.core.groups import run_for, task_groups, tasks_of_run
from hearth.core.results import Results
from hearth.core.sections import SwitchedPolicy
from hearth.core.settings import Settings, freeze_settings, load_settings, validate_settings

CONFIG = Path(__file__).resolve().parents[3] / "config"
RADIO, TRASH, WATER = "turning_on_radio", "picking_up_trash", "bringing_water"
TASKS = (RADIO, TRASH, WATER)
WRITTEN = {"run": {"steps": 9}, "groups": {"near": [RADIO], "far": [TRASH]}}


def make(root: Path = Path("unused"), **values: Any) -> Settings:
    given = {
        "experiment": "x", "results": str(root), "benchmark": "household", "tasks": list(TASKS),
        "demonstrations": {}, "runs": {"main": {"steps": 50, "batch_size": 8}},
        "evaluations": {"second": {"policy": "finetuned", "split": "public"}}, **values,
    }  # fmt: skip
    return validate_settings(given, source="test")


def test_a_group_has_a_run_like_the_first_one() -> None:
    settings = make(finetuning=WRITTEN)
    assert settings.run_names == ("main", "main-near", "main-far")
    run, first = settings.run("main-near"), settings.run("main")
    changed = {"steps": 9, "tasks": (RADIO,), "initialise_from": "main"}
    assert run == first.model_copy(update=changed)
    assert tasks_of_run(settings, "main-near", TASKS) == (RADIO,)
    assert tasks_of_run(settings, "main", TASKS) == TASKS
    played = {task: run_for(settings, "second", task) for task in TASKS}
    assert played == {RADIO: "main-near", TRASH: "main-far", WATER: "main"}


def test_an_ablation_of_the_second_phase_plays_its_runs() -> None:
    variants = {"no-vote": {"stage_tracking": "latest"}}
    settings = make(finetuning=WRITTEN, ablations={"base": "second", "variants": variants})
    played = {task: run_for(settings, "no-vote", task) for task in TASKS}
    assert played == {RADIO: "main-near", TRASH: "main-far", WATER: "main"}


def test_frozen_settings_have_the_same_runs(tmp_path: Path) -> None:
    settings = make(tmp_path, finetuning=WRITTEN)
    assert load_settings(freeze_settings(settings)) == settings


def test_groups_from_scores_are_read_once_they_are_made(tmp_path: Path) -> None:
    settings = make(tmp_path, finetuning={"validation": {"instances": 2}})
    assert settings.evaluation(VALIDATION).policy == "main"
    assert settings.evaluation(VALIDATION).split == "validation"
    assert VALIDATION not in settings.evaluations, "it stands in no report"
    with pytest.raises(TrainingError, match="make them with: hearth groups"):
        run_for(settings, "second", RADIO)
    write_json(Results.of(settings).groups, {"groups": {"best": [RADIO], "bad": [WATER]}})
    assert task_groups(settings) == {"best": (RADIO,), "bad": (WATER,)}
    assert run_for(settings, "second", WATER) == "main-bad"
    with pytest.raises(SettingsError, match="'main-good' has no tasks: group 'good' is empty"):
        tasks_of_run(settings, "main-good", TASKS)


def test_an_experiment_of_few_tasks_leaves_the_other_groups_out() -> None:
    settings = make(tasks=[TRASH], finetuning=WRITTEN)
    assert task_groups(settings) == {"far": (TRASH,)}


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ({"finetuning": {}}, ["exactly one"]),
        ({"finetuning": {**WRITTEN, "initialise_from": "mian"}}, ["'mian'", "mean 'main'"]),
        ({"finetuning": {**WRITTEN, "run": {"stepz": 3}}}, ["'stepz'", "did you mean 'steps'"]),
        ({"finetuning": {**WRITTEN, "run": {"tasks": [RADIO]}}}, ["taken run key 'tasks'"]),
        ({"finetuning": {**WRITTEN, "run": {"devices": 3}}}, ["devices 3", "multiples of 3"]),
        ({"finetuning": {"groups": {"a": [RADIO], "b": [RADIO]}}}, [RADIO, "'a'", "'b'"]),
        ({"finetuning": {"validation": {"split": "public"}}}, ["'public'", "validation"]),
        (
            {
                "finetuning": {"validation": {}},
                "evaluations": {"own": {"policy": "main", "split": "validation"}},
            },
            ["'validation' is reported by evaluation 'own'"],
        ),
        (
            {
                "finetuning": {"validation": {}},
                "ablations": {"base": "second", "variants": {VALIDATION: {"inpainting": False}}},
            },
            ["'finetuning-validation' names the evaluation of section 'finetuning'"],
        ),
        ({"finetuning": None}, ["'finetuned'", "Valid: expert, main"]),
        ({"finetuning": WRITTEN, "runs": {"main": {}, "main-far": {}}}, ["'main-far'"]),
        ({"runs": {"finetuned": {}}}, ["'finetuned' names the second phase"]),
        ({"runs": {"a": {"initialise_from": "b"}}}, ["runs.a.initialise_from 'b'"]),
        (
            {"runs": {"a": {"initialise_from": "b"}, "b": {"initialise_from": "a"}}},
            ["a <- b <- a"],
        ),
        (
            {"runs": {"main": {}, "a": {"initialise_from": "main", "initial_weights": "x"}}},
            ["two starts"],
        ),
        ({"runs": {"main": {"tasks": []}}}, ["empty list of tasks"]),
        ({"runs": {"main": {"validation_every": 5}}}, ["data.validation_fraction above 0"]),
    ],
)
def test_impossible_phases_are_refused(values: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        make(**values)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ({"finetuning": {"groups": {"a": ["radio"]}}}, ["finetuning.groups.a", "turning_on_radio"]),
        (
            {"finetuning": WRITTEN, "tasks": [RADIO], "runs": {"main": {"tasks": [TRASH]}}},
            ["runs.main.tasks", TRASH],
        ),
    ],
)
def test_unknown_tasks_are_named(values: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        benchmark_of(make(**values))
    for part in parts:
        assert part in str(caught.value)


def test_the_released_groups_hold_every_task_once() -> None:
    settings = load_settings(CONFIG / "behavior-2025.yaml")
    groups = task_groups(settings)
    assert [len(tasks) for tasks in groups.values()] == [20, 16, 13, 1]
    names = load_benchmark("behavior-2025").task_names
    assert sorted(task for tasks in groups.values() for task in tasks) == sorted(names)


def test_a_branch_takes_over_the_settings_of_where_it_comes_from(tmp_path: Path) -> None:
    settings = make(tmp_path, finetuning=WRITTEN)
    found = branch(settings, "radio", "main", None, [RADIO]).run("radio")
    assert (found.initialise_from, found.initial_weights) == ("main", None)
    assert (found.tasks, found.steps, found.batch_size) == ((RADIO,), 50, 8)
    checkpoint = str(Results.of(settings).checkpoints("main") / "40")
    found = branch(settings, "radio", checkpoint, None, []).run("radio")
    assert (found.initialise_from, found.initial_weights) == (None, checkpoint)
    assert (found.tasks, found.steps) == (None, 50)


def test_what_is_said_of_a_branch_holds(tmp_path: Path) -> None:
    runs = {"main": {"steps": 50, "batch_size": 8}, "radio": {"steps": 3}}
    settings = make(tmp_path, finetuning=WRITTEN, runs=runs)
    found = branch(settings, "radio", "somewhere/params", "main", [RADIO]).run("radio")
    assert (found.steps, found.batch_size, found.initial_weights) == (3, 8, "somewhere/params")
    with pytest.raises(SettingsError, match="--like RUN"):
        branch(settings, "radio", "somewhere/params", None, [])
    with pytest.raises(SettingsError, match="start from each other: radio <- radio"):
        branch(settings, "radio", "radio", None, [])


def test_the_commands_say_what_lacks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = ["--config", str(CONFIG / "test.yaml"), "--set", f"results={tmp_path}"]
    assert main(["finetune", *config, "--run", "main"]) == 1
    assert "'main' starts from nothing: give --from SOURCE" in capsys.readouterr().err
    assert main(["finetune", *config, "--run", "radio", "--task", RADIO]) == 1
    assert "needs --from SOURCE" in capsys.readouterr().err
    arguments = ["--run", "radio", "--from", "main", "--task", "turning_on_radoi"]
    assert main(["finetune", *config, *arguments]) == 1
    assert "did you mean 'turning_on_radio'" in capsys.readouterr().err
    assert main(["groups", *config]) == 1
    assert "no section 'finetuning'" in capsys.readouterr().err


def test_written_groups_make_a_policy_that_one_server_switches(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = ["--config", str(CONFIG / "test.yaml"), "--set", f"results={tmp_path / 'results'}"]
    groups = ["--set", f"finetuning={{groups: {{near: [{RADIO}]}}}}"]
    path = tmp_path / "policies/both.yaml"
    assert main(["groups", *config, *groups, "--bundles", str(path)]) == 0
    assert f"in no group, played by run main: {TRASH}" in capsys.readouterr().out
    found = SwitchedPolicy.model_validate(yaml.safe_load(path.read_text())).bundles
    runs = (tmp_path / "results/test/runs").resolve()
    places = {task: (path.parent / folder).resolve() for task, folder in found.items()}
    assert places == {RADIO: runs / "main-near/policy", TRASH: runs / "main/policy"}
