"""Evaluations by the official evaluators' stand-in: files, retries, watchdogs, versions."""

from __future__ import annotations

import hashlib
import json
import sys

import pytest
from evaluation_setup import BACKENDS
from official_setup import TASK, Case

from hearth.benchmark import load_benchmark
from hearth.core.errors import EvaluationError, SettingsError
from hearth.core.results import Results
from hearth.evaluation import identity
from hearth.evaluation.merge import merge_and_write
from hearth.evaluation.submission import Submission, write_submission


def processes(case):
    return len({words[2] for words in case.played()})


def test_2026_keeps_the_files_byte_for_byte_with_ours_beside_them(case):
    made = case.settings(video=True)
    assert case.run(made) == {"due": 3, "kept": 0, "finished": 3, "crashed": 0}
    assert case.instances() == [301, 302, 303] and processes(case) == 1
    official = Results.of(made).official("public")
    content = (official / "json" / f"{TASK}_301_0.json").read_bytes()
    ours = case.result(made, 301)
    film = official / "videos" / f"{TASK}_301_0.mp4"
    assert ours["official"] == {
        "file": f"official/json/{TASK}_301_0.json",
        "sha256": hashlib.sha256(content).hexdigest(),
        "video": f"official/videos/{TASK}_301_0.mp4",
        "video_sha256": hashlib.sha256(film.read_bytes()).hexdigest(),
    }
    assert b'\n  "q_score"' in content and b"Infinity" in content  # as it was written
    assert ours["status"] == "success" and ours["steps"] == 3
    assert ours["normalized_agent_distance"] == {"base": 1.5, "left": 1.2, "right": "Infinity"}
    assert case.result(made, 302)["status"] == "failure"
    provenance = ours["provenance"]
    assert provenance["simulator_version"] == "omnigibson 3.9.2"
    assert provenance["device"] == "fake" and provenance["attempts"] == 1
    beside = Results.of(made).episode("public", TASK, 301, 0).with_suffix(".mp4")
    assert beside.read_bytes() == film.read_bytes()
    assert not list((official / "running").iterdir())
    merged = merge_and_write(made, "public", TASK)
    assert merged["complete"] and merged["q_mean"] == pytest.approx(2.5 / 3)
    assert merged["episodes"][0]["record"] == f"evaluation/public/official/json/{TASK}_301_0.json"
    assert case.run(made)["kept"] == 3 and len(case.played()) == 3


def test_what_was_played_here_can_be_submitted_unless_it_was_edited(case):
    made = case.settings(video=True, instances=2)
    case.run(made)
    merge_and_write(made, "public", TASK)
    official = Results.of(made).official("public")
    (official / "json" / f"{TASK}_302_0.json").write_text("{}")
    submission = Submission("public", "Team", "Here", "20261121")
    benchmark = load_benchmark("behavior-2026")
    written = write_submission(made, benchmark, submission, case.folder / "submissions")
    assert written.results == 1
    assert (written.folder / "json" / f"{TASK}_301_0.json").read_bytes() == (
        official / "json" / f"{TASK}_301_0.json"
    ).read_bytes()
    text = "\n".join(written.missing)
    assert f"left out: json/{TASK}_302_0.json" in text and "998 of 1000 results" in text


def test_2025_files_carry_the_numbers_of_the_challenges_list(tmp_path, server):
    case = Case(tmp_path, server, 2025, "3.7.2")
    made = case.settings(video=True)
    assert case.run(made)["finished"] == 3
    assert case.instances() == [242, 295, 211] and processes(case) == 1
    folder = Results.of(made).official("public")
    assert {path.name for path in folder.glob("*/*")} == {
        f"{TASK}_{number}_0.{ending}" for number in (242, 295, 211) for ending in ("json", "mp4")
    }
    assert case.result(made, 2)["official"]["file"] == f"official/json/{TASK}_295_0.json"
    assert case.result(made, 2)["success"] and not case.result(made, 1)["success"]


def test_an_evaluator_that_plays_in_batches_gets_one_instance(tmp_path, server):
    case = Case(tmp_path, server, 2026, "3.9.3.post2", batch=True)
    made = case.settings({"gpus": [3, 5]}, workers=2, rollouts=2, instances=2)
    assert case.run(made)["finished"] == 4
    played = case.played()
    assert processes(case) == 2
    assert sorted((instance, rollout) for instance, rollout, *_ in played) == [
        ("301", "0"), ("301", "1"), ("302", "0"), ("302", "1"),
    ]  # fmt: skip
    assert {words[3] for words in played} == {"3", "5"}


@pytest.mark.parametrize(
    "fault, reason",
    [
        ("segfault", "was ended by SIGSEGV without a result of turning_on_radio_302_0"),
        ("raise", "exited with code 1 without a result"),
        ("silence", "exited with code 0 without a result"),
        ("half", "turning_on_radio_302_0.json is not valid JSON"),
        ("contradict", "turning_on_radio_302_0.json says success true and q_score.final 0.5"),
        ("memory", "evaluator.memory_gigabytes is 0.2"),
        ("hang", "no sign of life for 0.9 s in an episode"),
    ],
)
def test_a_fault_costs_the_episode_it_hit_and_no_other(case, fault, reason):
    case.fault("instance_302", fault)
    limit = 0.9 if fault == "hang" else 60.0
    made = case.settings({"memory_gigabytes": 0.2}, attempts=2, step_timeout_seconds=limit)
    assert case.run(made) == {"due": 3, "kept": 0, "finished": 2, "crashed": 1}
    # The rest goes on in a fresh process, before the one at fault has its second and last attempt.
    assert case.instances() == [301, 302, 303, 302] and processes(case) == 2
    assert case.result(made, 303)["provenance"]["attempts"] == 1
    crashed = case.result(made, 302)
    assert crashed["status"] == "crashed" and reason in crashed["reason"]
    assert any(f"about to {fault}" in line for line in crashed["log"])
    merged = merge_and_write(made, "public", TASK)
    assert merged["counts"]["crashed"] == 1 and merged["counts"]["success"] == 2
    assert not (Results.of(made).official("public") / "json" / f"{TASK}_302_0.json").exists()


def test_results_of_no_use_are_kept_aside_and_what_is_played_again_counts(tmp_path, server):
    case = Case(tmp_path, server, 2025, "3.7.2")
    case.fault("once_242", "contradict")
    case.fault("once_295", "contradict")
    case.fault("once_211", "half")
    made = case.settings()
    assert case.run(made) == {"due": 3, "kept": 0, "finished": 3, "crashed": 0}
    # Two bad files do not end the evaluator that wrote them.
    assert case.instances() == [242, 295, 211, 242, 295, 211] and processes(case) == 2
    assert [case.result(made, i)["provenance"]["attempts"] for i in (1, 2, 3)] == [2, 2, 2]
    official = Results.of(made).official("public")
    for number in (242, 295):
        aside = (official / "unusable" / f"{TASK}_{number}_0.json.attempt1").read_text()
        assert json.loads(aside)["time"]["simulator_steps"] == 1_000_000
    half = official / "unusable" / f"{TASK}_211_0.json.attempt1"
    assert half.read_text() == '{"q_score": {"final": 0.'
    assert not list((official / "unusable").glob("*.json")), "nothing takes them for results"


def test_more_steps_than_the_benchmark_has_are_refused(tmp_path, server):
    case = Case(tmp_path, server, 2025, "3.7.2")
    case.fault("instance_242", "contradict")
    made = case.settings(attempts=1)
    assert case.run(made) == {"due": 3, "kept": 0, "finished": 2, "crashed": 1}
    limit = load_benchmark("behavior-2025").time_limit(TASK)
    reason = f"{TASK}_242_0.json time.simulator_steps is 1000000; the limit is {limit}"
    assert case.result(made, 1)["reason"] == reason
    assert merge_and_write(made, "public", TASK)["counts"]["crashed"] == 1


def test_an_episode_that_fails_once_is_played_again(case):
    case.fault("once_301", "segfault")
    made = case.settings(instances=2)
    assert case.run(made) == {"due": 2, "kept": 0, "finished": 2, "crashed": 0}
    assert case.result(made, 301)["provenance"]["attempts"] == 2


def test_an_evaluator_that_hangs_in_start_up_ends_the_evaluation_with_its_last_words(case):
    case.fault("start", "hang")
    made = case.settings(attempts=2, start_timeout_seconds=2)
    with pytest.raises(EvaluationError, match=r"failed to start 2 times.*before an episode") as e:
        case.run(made)
    assert "scene is loading\nabout to hang" in str(e.value)
    assert not case.processes()


def test_a_crash_after_the_last_result_costs_nothing(case):
    case.fault("end", "")
    assert case.run(case.settings(instances=1))["finished"] == 1


def test_a_command_around_python_is_told_its_name_slot_and_gpu_and_is_stopped_by_its_name(case):
    """As conda or a container: a program that starts Python as a child of its own."""
    started, wrapper = case.folder / "started", case.folder / "environment.sh"
    wrapper.write_text(
        f'#!/bin/sh\necho "$1" "$2" "$3" "$GPU" >> {started}\nshift 3\n{sys.executable} "$@"\n'
    )
    wrapper.chmod(0o755)
    case.fault("instance_302", "hang")
    evaluator = {
        "python": [str(wrapper), "{name}", "{slot}", "gpu={gpu}"],
        "stop": ["touch", str(case.folder / "stopped-{name}")],
        "gpus": [3, 5],
    }
    variables = case.settings().evaluator.environment
    evaluator["environment"] = {**variables, "GPU": "{gpu}"}
    made = case.settings(evaluator, workers=2, instances=2, attempts=1, step_timeout_seconds=2)
    assert case.run(made) == {"due": 2, "kept": 0, "finished": 1, "crashed": 1}
    lines = [line.split() for line in started.read_text().splitlines()]
    assert lines[0][1:] == ["0", "gpu=3", "3"], "the question for its version"
    names = {slot: name for name, slot, *_ in lines[1:]}
    assert sorted(words[1:] for words in lines[1:]) == [["0", "gpu=3", "3"], ["1", "gpu=5", "5"]]
    gpus = {words[0]: words[3] for words in case.played()}
    hung = names[{"3": "0", "5": "1"}[gpus["302"]]]
    assert len({words[0] for words in lines}) == 3
    assert [path.name for path in case.folder.glob("stopped-*")] == [f"stopped-{hung}"]
    assert not case.processes()


@pytest.mark.parametrize(
    "version, words",
    [("3.8.0", "3.8.0 in .* no supported evaluator of 2026; valid versions: 3.9.2, 3.9.3"),
     ("3.9.20", "3.9.20 in .* no supported evaluator")],
)  # fmt: skip
def test_an_unsupported_version_is_refused_before_anything_starts(tmp_path, server, version, words):
    case = Case(tmp_path, server, 2026, version)
    with pytest.raises(EvaluationError, match=words):
        case.run(case.settings())
    assert case.played() == []


def test_an_evaluator_without_the_options_is_refused(case):
    source = case.package / "eval" / "eval.py"
    source.write_text(source.read_text().replace('"--mode"', '"--split"'))
    with pytest.raises(EvaluationError, match="does not know --mode"):
        case.run(case.settings())


def test_an_environment_without_omnigibson_is_named(case):
    with pytest.raises(EvaluationError, match=r"no OmniGibson .*\n.*there is no omnigibson in"):
        case.run(case.settings({"environment": {}}))
    with pytest.raises(EvaluationError, match=r"evaluator.python /no/python cannot be used"):
        case.run(case.settings({"python": ["/no/python"]}))


def test_what_the_evaluator_cannot_do_is_refused(tmp_path, server, case):
    made = case.settings()
    with pytest.raises(SettingsError, match=r"section 'evaluator'.*evaluator.python"):
        case.run(made.model_copy(update={"evaluator": None}))
    with pytest.raises(SettingsError, match=r"robot_config: there is no file"):
        case.run(case.settings({"robot_config": "no.yaml"}))
    (tmp_path / "2025").mkdir()
    older = Case(tmp_path / "2025", server, 2025, "3.7.2")
    with pytest.raises(EvaluationError, match=r"cannot play split 'hidden': .*Valid: public"):
        older.run(older.settings(split="hidden"))
    with pytest.raises(EvaluationError, match="rollouts = 2: the evaluator of 2025 plays at most"):
        older.run(older.settings(rollouts=2))
    with pytest.raises(EvaluationError, match=r"or as evaluator.instances for"):
        older.run(older.settings({"instances": None}))


def test_another_wrapper_or_robot_is_another_configuration_and_another_machine_is_not(case):
    robot = case.folder / "robot.yaml"

    def hash_of(**evaluator):
        settings = case.settings(evaluator)
        return identity.config_hash(settings, load_benchmark("behavior-2026"), "public", TASK)

    robot.write_text("model: r1pro\n")
    first = hash_of(robot_config=str(robot))
    robot.write_text("model: r1\n")
    hashes = [hash_of(), hash_of(wrapper="a.B"), hash_of(arguments=["--max-steps", "9"]), first]
    assert len({*hashes, hash_of(robot_config=str(robot))}) == 5
    assert (
        hash_of(python=["conda", "run", "python"], gpus=[1], instances_per_process=2) == hashes[0]
    )


@pytest.mark.parametrize("fault", ["segfault", "hang"])
def test_a_policy_server_that_dies_or_hangs_is_replaced(tmp_path, faults, fault):
    (faults / "server").write_text(fault)  # at its fourth answer, in the second episode
    (tmp_path / "case").mkdir()
    case = Case(tmp_path / "case", BACKENDS.server, 2025, "3.7.2")
    made = case.settings(instances=2, step_timeout_seconds=1)
    assert case.run(made) == {"due": 2, "kept": 0, "finished": 2, "crashed": 0}
    assert case.instances() == [242, 295, 295]
    assert [case.result(made, i)["provenance"]["attempts"] for i in (1, 2)] == [1, 2]
