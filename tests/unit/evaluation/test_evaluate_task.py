"""Whole evaluations with a stand-in simulator: isolation, retries, skipping and merging."""

from __future__ import annotations

from dataclasses import replace

import av
import pytest
from evaluation_setup import BACKENDS, TASK, played

from hearth.core.errors import EvaluationError, SettingsError
from hearth.core.files import read_json
from hearth.core.results import Results
from hearth.evaluation.merge import merge_and_write
from hearth.evaluation.run import evaluate_task
from hearth.reporting.merged_files import load_evaluation


def run(settings):
    return evaluate_task(settings, "trained", TASK, BACKENDS)


def result_of(settings, instance, rollout=0):
    return read_json(Results.of(settings).episode("trained", TASK, instance, rollout))


def test_every_due_episode_gets_a_result_and_a_second_run_starts_nothing(settings, faults):
    made = settings(rollouts=2, video=True, video_size=32)
    assert run(made) == {"due": 6, "kept": 0, "finished": 6, "crashed": 0}
    result = result_of(made, 301)
    assert result["status"] == "success" and result["success"] and result["steps"] == 6
    assert result["q_score"]["final"] == 1.0
    assert result["goals"] == [{"text": "toggled_on radio", "initially": False, "now": True}]
    provenance = result["provenance"]
    assert provenance["policy_hash"] == "0123456789abcdef"
    assert provenance["attempts"] == 1 and provenance["device"] == "fake"
    assert provenance["start_time"] <= provenance["end_time"]
    assert result_of(made, 302)["status"] == "failure"  # ended early without success
    before = played(faults)
    assert run(made) == {"due": 6, "kept": 6, "finished": 0, "crashed": 0}
    assert played(faults) == before
    merged = merge_and_write(made, "trained", TASK)
    assert merged["complete"] and merged["q_mean"] == pytest.approx((4 * 1.0 + 2 * 0.5) / 6)
    assert merged["counts"] == {
        "success": 4,
        "timeout": 0,
        "failure": 2,
        "crashed": 0,
        "missing": 0,
    }
    video = Results.of(made).root / merged["episodes"][0]["video"]
    with av.open(str(video)) as container:
        frames = list(container.decode(video=0))
    assert len(frames) == 2 and frames[0].width == 32  # steps 0 and 5
    head = video.read_bytes()
    assert head.index(b"moov") < head.index(b"mdat")  # browsers play it while it loads


def test_films_switched_on_later_are_made_from_then_on_and_none_counts_as_lost(settings):
    run(settings(instances=1))
    filmed = settings(instances=2, video=True, video_size=32)
    counts = run(filmed)
    assert (counts["kept"], counts["finished"]) == (1, 1), "none is played again for its film"
    first, second = merge_and_write(filmed, "trained", TASK)["episodes"]
    assert first["video"] is None and second["video"].endswith(f"{TASK}_302_0.mp4")
    root = Results.of(filmed).root
    assert not load_evaluation(root, "trained", [TASK]).faults
    (root / second["video"]).unlink()
    merge_and_write(filmed, "trained", TASK)
    (fault,) = load_evaluation(root, "trained", [TASK]).faults
    assert fault == f"trained: 1 video is missing: {TASK}_302_0.mp4"


def test_later_rollouts_start_elsewhere_but_the_first_one_exactly(settings, faults):
    run(settings(rollouts=2, instances=1))
    seeds = {line.split()[2] for line in (faults / "played").read_text().splitlines()}
    assert "None" in seeds and len(seeds) == 2


def test_only_what_changes_an_episode_makes_it_due_again(settings, faults):
    run(settings(instances=1))
    assert run(settings(instances=1, workers=1, attempts=2))["kept"] == 1
    assert run(settings(instances=2))["kept"] == 1
    changed = settings(instances=1, runtime={"flow_steps": 5})
    with pytest.raises(EvaluationError, match=r"runtime.flow_steps: 10 -> 5[\s\S]*protect=false"):
        run(changed)
    assert run(changed.model_copy(update={"protect": False}))["kept"] == 0


def test_an_episode_whose_process_dies_is_played_again(settings, faults):
    (faults / "once_302").write_text("segfault")
    made = settings()
    assert run(made) == {"due": 3, "kept": 0, "finished": 3, "crashed": 0}
    assert result_of(made, 302)["provenance"]["attempts"] == 2
    assert played(faults).count(302) == 2


def test_after_all_attempts_it_is_recorded_as_crashed_and_tried_when_asked_again(settings, faults):
    (faults / "instance_302").write_text("segfault")
    made = settings()
    assert run(made) == {"due": 3, "kept": 0, "finished": 2, "crashed": 1}
    crashed = result_of(made, 302)
    assert crashed["status"] == "crashed" and crashed["q_score"]["final"] == 0.0
    assert "SIGSEGV" in crashed["reason"] and crashed["provenance"]["attempts"] == 3
    assert "about to crash" in crashed["log"] and any(
        "_fakes.py" in line for line in crashed["log"]
    )
    merged = merge_and_write(made, "trained", TASK)
    assert not merged["complete"] and merged["counts"]["crashed"] == 1
    assert merged["q_mean"] == pytest.approx(2 / 3)  # 301 and 303 of three due
    assert "SIGSEGV" in merged["episodes"][1]["reason"]
    (faults / "instance_302").unlink()
    assert run(made) == {"due": 3, "kept": 2, "finished": 1, "crashed": 0}
    assert merge_and_write(made, "trained", TASK)["complete"]


def test_an_exception_in_the_simulator_is_named(settings, faults):
    (faults / "instance_301").write_text("raise")
    made = settings(instances=1, attempts=2)
    assert run(made)["crashed"] == 1
    crashed = result_of(made, 301)
    assert crashed["reason"] == "ValueError: the physics went wrong"
    assert any("Traceback" in line for line in crashed["log"])


def test_a_simulator_that_hangs_is_ended_by_the_watchdog(settings, faults):
    (faults / "instance_301").write_text("hang")
    made = settings(instances=2, attempts=1, step_timeout_seconds=3)
    assert run(made) == {"due": 2, "kept": 0, "finished": 1, "crashed": 1}
    assert "watchdog" in result_of(made, 301)["reason"]


def test_a_simulator_that_hangs_while_it_starts_is_given_up(settings, faults):
    (faults / "start").write_text("hang")
    alone = replace(BACKENDS, server=None)
    with pytest.raises(EvaluationError, match=r"(?s)failed to start .*no sign of life for 2 s"):
        evaluate_task(settings(attempts=1, start_timeout_seconds=2), "trained", TASK, alone)


def test_a_simulator_that_cannot_start_ends_the_evaluation(settings, faults):
    (faults / "start").write_text("refuse")
    with pytest.raises(EvaluationError, match="no graphics library here"):
        run(settings())
    (faults / "start").write_text("segfault")
    with pytest.raises(EvaluationError, match=r"failed to start 2 times.*SIGSEGV") as caught:
        run(settings(attempts=2))
    assert "about to crash" in str(caught.value)


@pytest.mark.parametrize("fault", ["segfault", "hang"])
def test_a_server_that_dies_or_hangs_is_replaced(settings, faults, fault):
    (faults / "server").write_text(fault)
    made = settings(instances=2, step_timeout_seconds=4)
    assert run(made)["finished"] == 2
    assert max(result_of(made, i)["provenance"]["attempts"] for i in (301, 302)) == 2


def test_a_server_that_cannot_start_ends_the_evaluation_with_its_last_words(settings, faults):
    (faults / "server_start").touch()
    with pytest.raises(EvaluationError, match="no memory left"):
        run(settings())


def test_unknown_names_and_missing_bundles_are_refused_before_anything_starts(settings, faults):
    made = settings()
    with pytest.raises(SettingsError, match="did you mean 'turning_on_radio'"):
        evaluate_task(made, "trained", "turning_on_radoi", BACKENDS)
    with pytest.raises(SettingsError, match="unknown evaluation"):
        evaluate_task(made, "traned", TASK, BACKENDS)
    with pytest.raises(EvaluationError, match="instances = 99"):
        run(settings(instances=99))
    (Results.of(made).bundle("main") / "provenance.json").unlink()
    with pytest.raises(EvaluationError, match="train it first"):
        run(made)
    assert not (faults / "server_pid").exists()
