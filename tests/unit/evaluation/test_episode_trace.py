"""The trace of an episode: what is kept, what stands beside the result, and what does not."""

from __future__ import annotations

import numpy as np
import pytest
from evaluation_setup import BACKENDS, TASK
from hypothesis import given
from hypothesis import strategies as st

from hearth.benchmark import load_benchmark
from hearth.core.errors import DataError
from hearth.core.results import Results
from hearth.core.traces import read_trace, trace_path, write_trace
from hearth.evaluation.episode import EpisodeJob
from hearth.evaluation.merge import merge_task
from hearth.evaluation.run import evaluate_task
from hearth.evaluation.trace import TraceRecorder

JOB = EpisodeJob(TASK, 301, 0, 0, 300, 30)


def prediction(index: int) -> dict:
    chunk = np.full((30, 23), index, np.float32)
    return {
        "raw_stage": 0, "voted_stage": 0, "stage": 0, "opened": np.array([False, index == 1]),
        "overlap_error": None if index == 0 else 0.1, "chunk": chunk, "actions": chunk[:6],
        "kept": chunk[:4], "used": 6,
    }  # fmt: skip


def recorded(predictions: int, pairs: int) -> dict:
    recorder = TraceRecorder(pairs)
    for index in range(predictions):
        recorder.add(6 * index, prediction(index))
    trace = recorder.trace(JOB, load_benchmark("household"), steps=6 * predictions)
    assert trace is not None
    return trace


@given(predictions=st.integers(1, 300), pairs=st.integers(0, 6))
def test_pairs_are_consecutive_limited_and_spread_over_the_episode(predictions, pairs):
    trace = recorded(predictions, pairs)
    assert trace["predictions"]["step"] == [6 * index for index in range(predictions)]
    found = [[chunk["step"] // 6 for chunk in pair] for pair in trace["pairs"]]
    assert all(second == first + 1 for first, second in found)
    assert min(pairs, 1) * (predictions > 1) <= len(found) <= pairs
    if predictions >= 4 * pairs > 0:
        assert len(found) >= pairs / 2 - 1
        starts = [first for first, _ in found]
        gaps = np.diff([*starts, predictions])
        assert gaps.max() <= 2 * (starts[1] if len(starts) > 1 else predictions)
    for pair in trace["pairs"]:
        for chunk in pair:
            assert chunk["chunk"][0][0] == chunk["step"] / 6


def test_a_trace_says_what_a_reader_needs():
    trace = recorded(3, 1)
    assert trace["stages"] == 1 and trace["steps"] == 18 and trace["frames_per_second"] == 30
    assert trace["dimensions"][7] == "7 left arm" and len(trace["dimensions"]) == 23
    assert trace["predictions"]["opened"] == [[], [1], []]
    assert trace["predictions"]["overlap_error"] == [None, 0.1, 0.1]
    assert TraceRecorder(3).trace(JOB, load_benchmark("household"), 5) is None


def test_a_file_is_read_as_it_was_written_and_a_damaged_one_is_named(tmp_path):
    path = trace_path(tmp_path / "radio_301_0.json")
    assert path.name == "radio_301_0.trace.js"
    trace = recorded(3, 1)
    write_trace(path, trace)
    assert read_trace(path) == {"version": 1, **trace}
    assert path.read_text().startswith("episodeTrace({") and path.read_text().endswith(");\n")
    for text, message in (
        (path.read_text()[:40], "not the trace of an episode"),
        ('episodeTrace({"version":9});\n', "version 9"),
        ("episodeTrace([]);\n", "not the trace"),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=message):
            read_trace(path)
    with pytest.raises(DataError, match="does not exist"):
        read_trace(tmp_path / "nothing.trace.js")


def test_an_evaluation_writes_traces_beside_its_results(settings, faults):
    (faults / "planning").touch()
    # The stand-in policy plans three steps, so the clients ask for three.
    made = settings(instances=2, runtime={"actions_to_execute": 3})
    assert evaluate_task(made, "trained", TASK, BACKENDS)["finished"] == 2
    path = trace_path(Results.of(made).episode("trained", TASK, 301, 0))
    trace = read_trace(path)
    assert (trace["task"], trace["instance_id"], trace["steps"]) == (TASK, 301, 6)
    assert trace["predictions"] == {
        "step": [0, 3], "raw_stage": [0, 4], "voted_stage": [0, 0], "stage": [0, 0],
        "opened": [[], [1]], "overlap_error": [None, 0.1235],
    }  # fmt: skip
    ((first, second),) = trace["pairs"]
    assert [row[0] for row in first["chunk"]] == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert [row[0] for row in second["actions"]] == [3.0, 4.0, 5.0] and second["used"] == 3
    merged = merge_task(made, "trained", TASK)
    assert Results.of(made).root / merged["episodes"][0]["trace"] == path


def test_a_trace_is_a_setting_that_makes_no_episode_due_again(settings, faults):
    (faults / "planning").touch()
    made = settings(instances=1, trace=False)
    evaluate_task(made, "trained", TASK, BACKENDS)
    path = trace_path(Results.of(made).episode("trained", TASK, 301, 0))
    assert not path.exists()
    assert merge_task(made, "trained", TASK)["episodes"][0]["trace"] is None
    assert evaluate_task(settings(instances=1), "trained", TASK, BACKENDS)["kept"] == 1


def test_a_crashed_episode_and_a_policy_that_tells_nothing_leave_no_trace(settings, faults):
    made = settings(instances=2, attempts=1)
    paths = [trace_path(Results.of(made).episode("trained", TASK, i, 0)) for i in (301, 302)]
    for path in paths:  # of an earlier attempt
        write_trace(path, recorded(2, 0))
    (faults / "instance_302").write_text("segfault")
    evaluate_task(made, "trained", TASK, BACKENDS)
    assert not any(path.exists() for path in paths)
