"""Merging: everything due stays in the denominator, and what does not count says why."""

from __future__ import annotations

import json

import pytest
from evaluation_setup import TASK

from hearth.benchmark import load_benchmark
from hearth.core.errors import SettingsError
from hearth.core.files import read_json, write_json
from hearth.core.results import Results
from hearth.evaluation import identity
from hearth.evaluation.merge import ensure_merged, merge_and_write, merge_task
from hearth.reporting.merged_files import load_evaluation


def write_result(settings, instance, *, q=1.0, status="success", **provenance):
    benchmark = load_benchmark(settings.benchmark)
    hashes = identity.hashes(settings, benchmark, "trained", TASK)
    parts = dict.fromkeys(("base", "left", "right"), 1.5)
    result = {
        "status": status,
        "success": status == "success",
        "q_score": {"final": q},
        "steps": 40,
        "time": {"normalized_time": 1.25},
        "normalized_agent_distance": parts,
        "provenance": {**hashes, **provenance},
    }
    write_json(Results.of(settings).episode("trained", TASK, instance, 0), result)


def test_missing_and_crashed_episodes_score_zero_and_stay_in_the_denominator(settings):
    made = settings(instances=4)
    write_result(made, 301)
    write_result(made, 302, q=0.5, status="timeout")
    write_result(made, 303, q=0.9, status="crashed")
    merged = merge_and_write(made, "trained", TASK)
    assert merged["q_mean"] == pytest.approx(1.5 / 4)
    assert merged["success_rate"] == pytest.approx(1 / 4)
    assert merged["counts"] == {
        "success": 1,
        "timeout": 1,
        "failure": 0,
        "crashed": 1,
        "missing": 1,
    }
    assert merged["instances_due"] == [[301, 0], [302, 0], [303, 0], [304, 0]]
    assert not merged["complete"]
    first, _, third, fourth = merged["episodes"]
    assert first["normalized_time"] == 1.25 and first["video"] is None
    assert third["q"] == 0.0 and third["normalized_time"] is None
    assert fourth["status"] == "missing" and fourth["reason"] == "not run yet"
    # The workflow's target must not appear while anything is crashed or missing.
    assert not Results.of(made).task_result("trained", TASK).exists()
    assert read_json(Results.of(made).merged_result("trained", TASK)) == merged


def test_a_film_that_was_to_be_made_and_is_not_there_is_a_fault_and_its_result_counts(settings):
    made = settings(instances=5, video=True)
    for instance in range(301, 306):
        write_result(made, instance)
    results = Results.of(made)
    for instance in (301, 305):
        results.episode("trained", TASK, instance, 0).with_suffix(".mp4").write_bytes(b"film")
    assert merge_and_write(made, "trained", TASK)["complete"]
    found = load_evaluation(results.root, "trained", [TASK])
    names = ", ".join(f"{TASK}_{instance}_0.mp4" for instance in (302, 303, 304))
    assert found.faults == (f"trained: 3 videos are missing: {names}",) and found.complete
    for instance in (301, 305):
        results.episode("trained", TASK, instance, 0).with_suffix(".mp4").unlink()
    (fault,) = load_evaluation(results.root, "trained", [TASK]).faults
    assert "5 videos are missing" in fault and fault.endswith("_303_0.mp4 and 2 more")
    unfilmed = settings(instances=5, video=False)
    merge_and_write(unfilmed, "trained", TASK)
    assert not load_evaluation(results.root, "trained", [TASK]).faults


def test_goal_literals_are_merged_and_impossible_ones_make_a_result_missing(settings):
    made = settings(instances=3)
    goals = [{"text": "open door", "initially": False, "now": True}]
    for instance, values in ((301, goals), (302, [{"text": "open door"}]), (303, [1])):
        write_result(made, instance)
        path = Results.of(made).episode("trained", TASK, instance, 0)
        write_json(path, read_json(path) | {"goals": values})
    first, *others = merge_task(made, "trained", TASK)["episodes"]
    assert first["goals"] == goals
    for episode in others:
        assert episode["status"] == "missing" and "cannot be read" in episode["reason"]


def test_a_result_of_another_policy_or_configuration_is_missing(settings):
    made = settings(instances=2)
    write_result(made, 301, policy_hash="another")
    write_result(made, 302, config_hash="another")
    merged = merge_task(made, "trained", TASK)
    assert merged["counts"]["missing"] == 2
    assert "another policy_hash" in merged["episodes"][0]["reason"]
    assert "another config_hash" in merged["episodes"][1]["reason"]


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"provenance": {}}'])
def test_a_damaged_result_is_missing_and_the_rest_still_merges(settings, text):
    made = settings(instances=2)
    write_result(made, 302)
    Results.of(made).episode("trained", TASK, 301, 0).write_text(text)
    merged = merge_task(made, "trained", TASK)
    assert merged["counts"]["missing"] == 1 and merged["counts"]["success"] == 1
    assert "turning_on_radio_301_0.json cannot be read" in merged["episodes"][0]["reason"]


@pytest.mark.parametrize("change", [{"q": 1.5}, {"q": -0.1}, {"status": "won"}])
def test_impossible_values_are_missing(settings, change):
    made = settings(instances=1)
    write_result(made, 301, **change)
    assert merge_task(made, "trained", TASK)["counts"]["missing"] == 1


@pytest.mark.parametrize(
    "change",
    [
        {"time": {"normalized_time": float("nan")}}, {"time": {}}, {"time": None},
        {"normalized_agent_distance": {"base": float("inf")}}, {"normalized_agent_distance": None},
        {"steps": "many"}, {"success": "yes"}, {"goals": None},
    ],
)  # fmt: skip
def test_values_that_are_no_numbers_make_one_result_missing_and_no_merge_fail(settings, change):
    made = settings(instances=2)
    write_result(made, 301)
    write_result(made, 302)
    path = Results.of(made).episode("trained", TASK, 301, 0)
    path.write_text(json.dumps(read_json(path) | change))
    merged = merge_and_write(made, "trained", TASK)
    assert merged["counts"]["missing"] == 1 and merged["counts"]["success"] == 1
    assert "turning_on_radio_301_0.json cannot be read" in merged["episodes"][0]["reason"]
    benchmark = load_benchmark(made.benchmark)
    assert identity.missing_episodes(made, benchmark, "trained", TASK) == [(301, 0)], "due again"


def test_a_policy_that_does_not_exist_yet_merges_to_all_missing(settings):
    made = settings(instances=2)
    write_result(made, 301)
    (Results.of(made).bundle("main") / "provenance.json").unlink()
    merged = merge_and_write(made, "trained", TASK)
    assert merged["policy_hash"] is None and merged["counts"]["missing"] == 2


def test_ensure_merged_refreshes_incomplete_results_and_keeps_complete_ones(settings):
    made = settings(instances=1)
    results = Results.of(made)
    ensure_merged(made, "trained", [TASK])
    assert read_json(results.incomplete_result("trained", TASK))["counts"]["missing"] == 1
    write_result(made, 301)
    ensure_merged(made, "trained", [TASK])
    assert not results.incomplete_result("trained", TASK).exists()
    assert read_json(results.task_result("trained", TASK))["complete"]
    results.episode("trained", TASK, 301, 0).unlink()
    ensure_merged(made, "trained", [TASK])
    assert read_json(results.task_result("trained", TASK))["complete"]


def test_unknown_names_are_refused(settings):
    with pytest.raises(SettingsError, match="unknown evaluation"):
        merge_task(settings(), "traned", TASK)
    with pytest.raises(SettingsError, match="unknown task"):
        merge_task(settings(), "trained", "turning_off_radio")
