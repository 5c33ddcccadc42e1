"""Scores against cases worked out by hand from the challenge's rules."""

from __future__ import annotations

import pytest
from synthetic_results import episode, merged, write, write_scores

from hearth.reporting import scoring
from hearth.reporting.merged_files import load_evaluation


def evaluation_of(root, *tasks, name="main", due=("radio", "trash")):
    for value in tasks:
        write(root, value)
    return load_evaluation(root, name, due)


def test_task_score_is_the_sum_over_present_divided_by_due(tmp_path):
    lines = [
        episode(0, 1.0),
        episode(1, 0.5),
        episode(2, 0.25),
        episode(3, 1.0, "crashed"),  # whatever a crashed episode claims, it scores zero
        episode(4, None, "missing"),
    ]
    evaluation = evaluation_of(tmp_path, merged("main", "radio", lines), due=("radio",))
    scores = scoring.task_scores(evaluation.results["radio"])
    assert scores.q == pytest.approx((1.0 + 0.5 + 0.25) / 5)
    assert scores.success_rate == pytest.approx(1 / 5)
    # 2 - 1/0.8 = 0.75 for each of the three that are present.
    assert scores.time == pytest.approx(3 * 0.75 / 5)
    assert scores.distance == pytest.approx({"base": 0.54, "left": 0.42, "right": 0.3})


def test_episodes_due_but_not_listed_are_missing(tmp_path):
    value = merged("main", "radio", [episode(0, 1.0)], instances_due=[[0, 0], [1, 0]])
    evaluation = evaluation_of(tmp_path, value, due=("radio",))
    assert evaluation.results["radio"].counts["missing"] == 1
    assert scoring.task_scores(evaluation.results["radio"]).q == 0.5
    assert not evaluation.complete


def test_overall_is_the_mean_over_tasks_not_over_episodes(tmp_path):
    write_scores(tmp_path, "main", "radio", [1.0, 1.0, 1.0, 1.0])
    write_scores(tmp_path, "main", "trash", [0.5, 0.0])
    scores = scoring.overall_scores(load_evaluation(tmp_path, "main", ["radio", "trash"]))
    assert scores.q == pytest.approx((1.0 + 0.25) / 2)
    assert scores.success_rate == pytest.approx(0.5)


def test_an_absent_task_counts_as_zero_and_is_named(tmp_path):
    write_scores(tmp_path, "main", "radio", [1.0, 0.5])
    evaluation = load_evaluation(tmp_path, "main", ["radio", "trash"])
    assert evaluation.absent_tasks == ("trash",)
    assert "trash.json does not exist" in evaluation.faults[0]
    assert scoring.overall_scores(evaluation).q == pytest.approx(0.375)
    assert not evaluation.complete


def test_success_needs_exactly_one(tmp_path):
    write_scores(tmp_path, "main", "radio", [0.9999999, 1.0])
    evaluation = load_evaluation(tmp_path, "main", ["radio"])
    assert scoring.overall_scores(evaluation).success_rate == 0.5


@pytest.mark.parametrize(
    ("normalized_time", "expected"), [(1.0, 1.0), (0.5, 0.0), (2.0, 1.5), (0.25, -2.0), (None, 0.0)]
)
def test_time_score(tmp_path, normalized_time, expected):
    line = episode(0, 0.0, normalized_time=normalized_time)
    evaluation = evaluation_of(tmp_path, merged("main", "radio", [line]), due=("radio",))
    assert scoring.overall_scores(evaluation).time == pytest.approx(expected)


def test_rollouts_of_an_instance_are_averaged(tmp_path):
    lines = [episode(i, q, rollout=r) for i, r, q in [(4, 0, 1.0), (4, 1, 0.0), (2, 0, 1.0)]]
    lines.append(episode(2, 0.5, rollout=1))
    evaluation = evaluation_of(tmp_path, merged("main", "radio", lines), due=("radio",))
    values = scoring.by_instance(evaluation.results["radio"], scoring.q_score)
    assert values.tolist() == [0.75, 0.5]


def test_mean_steps_leaves_out_what_did_not_run(tmp_path):
    lines = [episode(0, 1.0, steps=100), episode(1, 0.0, steps=300), episode(2, None, "crashed")]
    evaluation = evaluation_of(tmp_path, merged("main", "radio", lines), due=("radio",))
    assert scoring.mean_steps(evaluation.results["radio"].episodes) == 200
    assert scoring.mean_steps([]) is None


def test_pairs_are_the_same_instance_and_rollout_of_the_same_split(tmp_path):
    write_scores(tmp_path, "main", "radio", [1.0, 0.5, 1.0])
    write_scores(tmp_path, "other", "radio", [0.5, 0.5])  # instance 2 was not due
    write_scores(tmp_path, "hidden", "radio", [0.0, 0.0, 0.0], split="hidden")
    main, other, hidden = (
        load_evaluation(tmp_path, name, ["radio"]) for name in ("main", "other", "hidden")
    )
    assert scoring.paired_differences(main, other)["radio"].tolist() == [0.5, 0.0]
    assert scoring.paired_differences(main, hidden) == {}


def test_a_crash_enters_a_paired_difference_as_zero(tmp_path):
    write_scores(tmp_path, "main", "radio", [1.0, 1.0])
    write(tmp_path, merged("other", "radio", [episode(0, None, "crashed"), episode(1, 1.0)]))
    main, other = (load_evaluation(tmp_path, name, ["radio"]) for name in ("main", "other"))
    assert scoring.paired_differences(main, other)["radio"].tolist() == [1.0, 0.0]
