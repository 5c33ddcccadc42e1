"""What a user relies on: one run to a leaderboard, no needless work, single-task targets."""

from __future__ import annotations

import csv
import json
import subprocess
from importlib import metadata

import pytest
import yaml

from hearth.core.settings import load_settings
from tests.workflow.conftest import ROOT, TASK, Workflow

pytestmark = [pytest.mark.workflow, pytest.mark.xdist_group("workflow")]


def test_leaderboard_is_complete(finished: Workflow) -> None:
    with (finished.results / "leaderboard/leaderboard.csv").open() as file:
        rows = {row["evaluation"]: row for row in csv.DictReader(file)}
    assert set(rows) == {"trained", "expert"}
    page = (finished.results / "leaderboard/index.html").read_text()
    assert "INCOMPLETE" not in page
    merged = json.loads((finished.results / f"evaluation/expert/{TASK}.json").read_text())
    assert merged["complete"]
    assert merged["success_rate"] == 1.0
    videos = list((finished.results / "evaluation").rglob("*.mp4"))
    assert len(videos) == 2


def test_every_episode_says_where_it_comes_from(finished: Workflow) -> None:
    commit = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    settings = load_settings(finished.config, [f"results={finished.folder / 'results'}"])
    trained = json.loads((finished.results / "runs/main/finished.json").read_text())
    for evaluation in ("trained", "expert"):
        folder = finished.results / "evaluation" / evaluation
        merged = json.loads((folder / f"{TASK}.json").read_text())
        (path,) = (folder / "episodes").glob("*.json")
        found = json.loads(path.read_text())["provenance"]
        assert found["git_commit"] == (commit or None)
        assert found["hearth_version"] == metadata.version("hearth")
        assert found["simulator_version"] == f"mujoco {metadata.version('mujoco')}"
        assert found["seed"] == settings.seed and found["attempts"] == 1
        assert found["config_hash"] == merged["config_hash"]
        assert found["policy_hash"] == merged["policy_hash"]
        assert found["host"] and found["start_time"] <= found["end_time"]
    found = json.loads(
        next(finished.results.glob("evaluation/trained/episodes/*.json")).read_text()
    )
    provenance = found["provenance"]
    assert provenance["policy"] == "main" and provenance["policy_hash"] == trained["bundle_hash"]
    assert provenance["statistics_hash"] == trained["statistics_hash"]
    assert provenance["device"].startswith("cpu:")


def test_second_run_has_nothing_to_do(finished: Workflow) -> None:
    assert finished.planned() == set()


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("runs.main.steps=8", {"train", "evaluate", "leaderboard"}),
        ("runs.main.model.kv_mixing=false", {"train", "evaluate", "leaderboard"}),
        ("runs.main.learning_rate=0.002", set()),  # the default, written out: nothing changed
        ("evaluations.trained.runtime={flow_steps: 4}", {"evaluate", "leaderboard"}),
        ("evaluations.expert.rollouts=2", {"evaluate", "leaderboard"}),
        ("report.title=Other", {"leaderboard"}),
        (
            "statistics.horizon=32",
            {"task_statistics", "statistics", "train", "evaluate", "leaderboard"},
        ),
    ],
)
def test_changed_settings_rerun_what_follows(
    finished: Workflow, override: str, expected: set[str]
) -> None:
    override = override.replace(" ", "")
    if override.startswith("evaluations.trained.runtime"):
        override = "evaluations.trained.runtime.flow_steps=4"
    assert finished.planned(overrides=override) == expected


@pytest.mark.parametrize(
    ("fact", "expected"),
    [
        ("human_length_frames", {"evaluate", "leaderboard"}),
        (
            "stages",
            {"demonstrations", "dataset_index", "prepare", "task_statistics", "statistics"}
            | {"train", "evaluate", "leaderboard"},
        ),
    ],
)
def test_an_edited_benchmark_fact_reruns_what_depends_on_it(
    finished: Workflow, fact: str, expected: set[str]
) -> None:
    values = yaml.safe_load((ROOT / "config/benchmarks/household.yaml").read_text())
    next(task for task in values["tasks"] if task["name"] == TASK)[fact] += 1
    edited = finished.folder / f"{fact}.yaml"
    edited.write_text(yaml.safe_dump(values))
    assert finished.planned(overrides=f"benchmark={edited}") == expected


def test_ablations_are_planned_only_where_the_experiment_has_them(finished: Workflow) -> None:
    section = "ablations.base=trained ablations.variants.blind.inpainting=false"
    assert finished.planned(overrides=section) == {"evaluate", "ablations", "leaderboard"}
    target = str(finished.results / "leaderboard/ablations.csv")
    # Nothing but the variant lacks: the full system has been played.
    assert finished.planned(target, overrides=section) == {"evaluate", "ablations"}
    result = finished.run("-n", overrides=f"{section} ablations.variants.same.inpainting=true")
    assert result.returncode != 0 and "changes nothing" in result.stdout + result.stderr


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        ("model.kv_mixing=false", set()),
        ("run.steps=8", set()),
        ("statistics.per_timestep=all", {"run_statistics"}),
        ("statistics.delta_actions=false", {"run_statistics"}),
    ],
)
def test_an_ablation_of_the_training_plans_one_run_and_its_evaluation(
    finished: Workflow, variant: str, expected: set[str]
) -> None:
    section = f"ablations.base=trained ablations.variants.other.{variant}"
    target = str(finished.results / "leaderboard/ablations.csv")
    expected = expected | {"train", "evaluate", "ablations"}
    assert finished.planned(target, overrides=section) == expected
    # The experiment's own run and evaluations stay as they are.
    own = str(finished.results / f"evaluation/trained/{TASK}.json")
    assert finished.planned(own, overrides=section) == set()
    with_fast = f"{section} ablations.variants.other.model.fast_loss_weight=0.05"
    tokenizer = "run_tokenizer" if "statistics" in variant else "tokenizer"
    assert finished.planned(target, overrides=with_fast) == expected | {tokenizer}


def test_an_evaluation_setting_touches_only_its_evaluation(finished: Workflow) -> None:
    target = str(finished.results / f"evaluation/trained/{TASK}.json")
    assert finished.planned(target, overrides="evaluations.expert.rollouts=2") == set()


def test_one_task_target_needs_nothing_else(finished: Workflow) -> None:
    """The single-task result is remade from its episodes: no training, no other evaluation."""
    target = finished.results / f"evaluation/trained/{TASK}.json"
    content = target.read_text()
    target.unlink()
    assert finished.planned(str(target)) == {"evaluate"}
    result = finished.run(str(target))
    assert result.returncode == 0, result.stderr[-4000:]
    assert json.loads(target.read_text())["q_mean"] == json.loads(content)["q_mean"]
    finished.run()


def test_snakemake_makes_its_report(finished: Workflow) -> None:
    path = finished.folder / "report.html"
    result = finished.run("--report", str(path))
    assert result.returncode == 0, result.stderr[-4000:]
    text = path.read_text()
    for name in ("leaderboard.csv", "tasks.csv", "comparisons.csv", "scores-light.svg"):
        assert name in text
    assert "best of each split first" in text  # a caption


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("tasks=[turning_on_radoi]", ["turning_on_radoi", "did you mean 'turning_on_radio'"]),
        (
            "runtime.task_rules.turning_on_radoi=[]",
            ["turning_on_radoi", "did you mean 'turning_on_radio'"],
        ),
        ("runs.main.stepz=3", ["runs.main.stepz", "did you mean 'steps'"]),
        ("benchmark=houshold", ["houshold", "did you mean 'household'"]),
    ],
)
def test_a_typo_fails_before_the_dag(finished: Workflow, override: str, parts: list[str]) -> None:
    result = finished.run("-n", overrides=override)
    assert result.returncode != 0
    for part in parts:
        assert part in result.stdout + result.stderr


@pytest.mark.parametrize(
    ("target", "meant"),
    [
        (f"evaluation/trianed/{TASK}.json", "trained"),
        ("evaluation/trained/turning_on_radoi.json", TASK),
        ("runs/mian/finished.json", "main"),
    ],
)
def test_a_typo_in_a_target_names_what_was_meant(
    finished: Workflow, target: str, meant: str
) -> None:
    result = finished.run(str(finished.results / target), "-n")
    assert result.returncode != 0
    output = result.stdout + result.stderr
    assert f"did you mean '{meant}'? Valid: " in output, output[-2000:]
