from __future__ import annotations

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hearth.benchmark import Benchmark, load_benchmark
from hearth.benchmark.benchmark import default_folder
from hearth.core.errors import SettingsError
from hearth.core.sections import OpenUnlessOtherHolds, ReturnToStage, RuntimeSettings
from hearth.policy.checks import check_rules
from hearth.policy.correction import closure_table, correct, failed_grasps
from hearth.policy.rules import Situation, decide

GRIPPERS = (14, 22)
NEVER_CLOSED = np.zeros((15, 2), dtype=bool)
RADIO = (ReturnToStage(at=4, to=2), OpenUnlessOtherHolds(from_stage=2))


def state(left: float, right: float) -> np.ndarray:
    values = np.arange(23, dtype=np.float32) / 100
    values[[14, 22]] = left, right
    return values


def situation(stage: int, left: float, right: float) -> Situation:
    return Situation(stage, state(left, right), GRIPPERS)


def test_closed_only_counts_where_it_was_never_closed() -> None:
    closed = np.array([True, False])
    assert failed_grasps(state(-1, -1), closed, GRIPPERS).tolist() == [False, True]
    assert failed_grasps(state(-1, -0.97), closed, GRIPPERS).tolist() == [False, False]


def test_the_chunk_becomes_the_state_with_that_hand_open() -> None:
    now, chunk = state(-1, -1), np.full((30, 23), 9.0, np.float32)
    out = correct(chunk, now, np.array([False, True]), GRIPPERS)
    assert (out[:, 22] == 1).all() and (out[:, 14] == -1).all()
    others = [d for d in range(23) if d != 22]
    np.testing.assert_array_equal(out[:, others], np.tile(now[others], (30, 1)))
    assert (chunk == 9.0).all(), "the prediction itself is not changed"


def test_no_failed_hand_leaves_the_chunk() -> None:
    chunk = np.full((30, 23), 9.0, np.float32)
    assert correct(chunk, state(1, 1), np.array([False, False]), GRIPPERS) is chunk


def test_the_gripper_rule_reads_the_table_of_the_stage() -> None:
    table = NEVER_CLOSED.copy()
    table[3] = True, False
    assert decide(situation(3, -1, -1), (), table).opened.tolist() == [False, True]
    assert decide(situation(2, -1, -1), (), table).opened.tolist() == [True, True]
    assert decide(situation(2, -1, -1), (), None).opened.tolist() == [False, False]


@pytest.mark.parametrize(
    ("stage", "left", "right", "opened", "then"),
    [
        (4, 1.0, 1.0, [False, False], 2),  # always back from the last stage
        (4, -1.0, 1.0, [True, False], 2),
        (3, -1.0, 1.0, [True, False], 3),  # closed, and the other one is open
        (3, -1.0, -1.0, [True, True], 3),
        (3, -1.0, 0.5, [False, False], 3),  # the other one holds something
        (3, 0.9, -1.0, [False, False], 3),  # 0.9 is not open yet
        (3, 0.91, -1.0, [False, True], 3),
        (1, -1.0, 0.5, [True, False], 1),  # below stage 2 the general rule
    ],
)
def test_the_rules_of_the_radio_task(
    stage: int, left: float, right: float, opened: list[bool], then: int
) -> None:
    table = NEVER_CLOSED.copy()
    table[2:] = True
    correction = decide(situation(stage, left, right), RADIO, table)
    assert (correction.opened.tolist(), correction.stage) == (opened, then)


def test_only_the_first_rule_that_decides_acts() -> None:
    rules = (ReturnToStage(at=4, to=3), ReturnToStage(at=4, to=1), ReturnToStage(at=3, to=0))
    assert decide(situation(4, 1, 1), rules, None).stage == 3
    # A hand rule that passes leaves the situation to the general one.
    other = (OpenUnlessOtherHolds(),)
    assert decide(situation(0, -1, 0.5), other, NEVER_CLOSED).opened.tolist() == [True, False]


@given(
    st.integers(0, 14), st.floats(-1, 1), st.floats(-1, 1), st.lists(st.booleans(), min_size=30,
                                                                     max_size=30)
)  # fmt: skip
def test_without_task_rules_a_hand_opens_exactly_when_closed_where_it_never_was(
    stage: int, left: float, right: float, closures: list[bool]
) -> None:
    table = np.reshape(closures, (15, 2))
    correction = decide(situation(stage, left, right), (), table)
    assert correction.stage == stage
    for hand, value in enumerate((left, right)):
        assert correction.opened[hand] == (np.float32(value) < -0.98 and not table[stage, hand])


def test_a_given_table_stands_in_for_the_demonstrations(benchmark_facts: Benchmark) -> None:
    demonstrated = np.random.default_rng(0).random((benchmark_facts.task_count, 15, 2)) < 0.5
    given_ = {"picking_up_trash": (None, 2), "bringing_water": (0, None)}
    table = closure_table(demonstrated, given_, benchmark_facts)
    np.testing.assert_array_equal(table[0], demonstrated[0])
    assert not table[1, :, 0].any()
    assert table[1, :, 1].tolist() == [False] * 2 + [True] * 13
    assert table[17, :, 0].all() and not table[17, :, 1].any()
    everywhere = closure_table(demonstrated, {"*": (None, None), **given_}, benchmark_facts)
    assert not everywhere[0].any()
    np.testing.assert_array_equal(everywhere[[1, 17]], table[[1, 17]])


def test_unknown_tasks_hands_and_stages_are_named(benchmark_facts: Benchmark) -> None:
    demonstrated = np.zeros((benchmark_facts.task_count, 15, 2), bool)
    with pytest.raises(SettingsError, match=r"'bringing_watre'.*did you mean 'bringing_water'"):
        closure_table(demonstrated, {"bringing_watre": (0, 0)}, benchmark_facts)
    with pytest.raises(SettingsError, match=r"\[1\]: robot 'r1pro' has 2 grippers"):
        closure_table(demonstrated, {"bringing_water": (1,)}, benchmark_facts)
    late = RuntimeSettings(task_rules={"picking_up_trash": RADIO})
    with pytest.raises(SettingsError, match="return_to_stage acts at stage 4; the task has 3"):
        check_rules(late, benchmark_facts)
    unknown = RuntimeSettings(task_rules={"picking_up": RADIO})
    with pytest.raises(SettingsError, match="'picking_up', no task of 'household'"):
        check_rules(unknown, benchmark_facts)


def test_the_public_codes_runtime_fits_its_benchmark() -> None:
    facts = load_benchmark("behavior-2025")
    file = default_folder().parent / "runtimes" / "public-code-2025.yaml"
    runtime = RuntimeSettings.model_validate(yaml.safe_load(file.read_text())["runtime"])
    check_rules(runtime, facts)
    demonstrated = np.ones((facts.task_count, 15, 2), bool)
    table = closure_table(demonstrated, runtime.gripper_closures, facts)
    first = np.where(table.any(axis=1), table.argmax(axis=1), -1)  # -1: never
    assert first[[0, 1, 30, 38, 41, 49]].tolist() == [
        [2, 2], [-1, -1], [-1, 6], [-1, 0], [14, 14], [14, -1],
    ]  # fmt: skip
    assert (first[1:30] == -1).all() and (np.diff(table.astype(int), axis=1) >= 0).all()
