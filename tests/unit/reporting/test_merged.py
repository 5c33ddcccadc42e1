"""Bad input: every fault is named, and the other tasks still count."""

from __future__ import annotations

import pytest
from synthetic_results import episode, merged, write, write_scores

from hearth.core.errors import DataError
from hearth.core.files import write_json
from hearth.reporting.merged_files import load_evaluation, load_task_result


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"episodes": [episode(0, 1.5)]}, r"q of episode 0_0 is 1\.5; valid are .* \[0, 1\]"),
        ({"episodes": [episode(0, -0.1)]}, r"q of episode 0_0 is -0\.1"),
        ({"episodes": [episode(0, True)]}, "q of episode 0_0 is True"),
        ({"episodes": [episode(0, 0.5, "done")]}, "status 'done': .*crashed, failure, missing"),
        ({"episodes": [episode(0, 0.5), episode(0, 1.0)]}, "two results for episode 0_0 twice"),
        ({"episodes": [episode(7, 0.5)]}, "episode 7_0 is not among instances_due"),
        ({"instances_due": []}, "instances_due is empty"),
        ({"instances_due": [[0, 0], [0, 0]]}, "instances_due names episode 0_0 twice"),
        ({"instances_due": [[0, 0], [0, 1], [1, 0]]}, "more rollouts than others"),
        ({"task": "trash"}, "task is 'trash', expected 'radio'"),
        ({"episodes": [{"instance_id": 0}]}, "no key 'rollout_id'"),
        ({"episodes": [episode(0, 0.5, normalized_time="fast")]}, "time of episode 0_0 is 'fast'"),
    ],
)
def test_an_impossible_entry_is_named(tmp_path, change, message):
    path = write(tmp_path, merged("main", "radio", [episode(0, 1.0)]))
    value = {**merged("main", "radio", [episode(0, 1.0)]), **change}
    write_json(path, value)
    with pytest.raises(DataError, match=message):
        load_task_result(path, "main", "radio")


def test_not_a_number_is_refused(tmp_path):
    path = write_scores(tmp_path, "main", "radio", [0.125])
    path.write_text(path.read_text().replace("0.125", "NaN"))
    with pytest.raises(DataError, match="q of episode 0_0 is nan; valid are finite numbers"):
        load_task_result(path, "main", "radio")


def test_a_truncated_file_does_not_stop_the_other_tasks(tmp_path):
    path = write_scores(tmp_path, "main", "radio", [1.0, 0.5])
    path.write_text(path.read_text()[:100])
    write_scores(tmp_path, "main", "trash", [0.5, 0.5])
    evaluation = load_evaluation(tmp_path, "main", ["radio", "trash"])
    assert list(evaluation.results) == ["trash"]
    assert evaluation.absent_tasks == ("radio",)
    assert "radio.json is not valid JSON" in evaluation.faults[0]


def test_mixed_splits_are_a_fault(tmp_path):
    write_scores(tmp_path, "main", "radio", [1.0, 0.5])
    write_scores(tmp_path, "main", "trash", [1.0, 0.5], split="hidden")
    evaluation = load_evaluation(tmp_path, "main", ["radio", "trash"])
    assert evaluation.split == "public"
    assert "is of split 'hidden', other tasks of 'main' are of 'public'" in evaluation.faults[0]


def test_reasons_and_counts(tmp_path):
    lines = [episode(0, 1.0), episode(1, 0.0, "failure"), episode(2, 0.5)]
    lines.append(episode(3, None, "crashed", reason="signal 11"))
    write(tmp_path, merged("main", "radio", lines))
    evaluation = load_evaluation(tmp_path, "main", ["radio"])
    assert evaluation.counts == {
        "success": 1, "timeout": 1, "failure": 1, "crashed": 1, "missing": 0,
    }  # fmt: skip
    assert evaluation.results["radio"].episodes[3].reason == "signal 11"
    assert evaluation.episodes_due == 4
