from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hearth.core.sections import RuntimeSettings
from hearth.policy.voting import StageVote, track_stage, vote


def run(predictions: list[int], stages: int = 10, start: int = 0) -> list[int]:
    state, seen = StageVote(start), []
    for prediction in predictions:
        state = vote(state, prediction, stages)
        seen.append(state.stage)
    return seen


def test_two_of_three_advance_and_the_history_is_cleared() -> None:
    assert run([1, 0, 1]) == [0, 0, 1]
    assert run([1, 1, 1, 2, 2, 1, 2]) == [0, 0, 1, 1, 1, 2, 2]


def test_nothing_moves_before_the_window_is_full() -> None:
    assert run([1, 1]) == [0, 0]


def test_one_outlier_does_not_advance() -> None:
    assert run([0, 1, 0, 0, 9, 0]) == [0] * 6


def test_three_of_the_stage_after_next_advance_by_one() -> None:
    assert run([2, 2, 2]) == [0, 0, 1]
    assert run([2, 2, 0]) == [0, 0, 0]
    assert run([3, 3, 3]) == [0, 0, 0]


def test_rollback_needs_all_and_works_from_the_last_stage() -> None:
    assert run([8, 8, 8], start=9) == [9, 9, 8]
    assert run([8, 9, 8, 8], start=9) == [9, 9, 9, 9]


def test_the_last_stage_can_be_made_final() -> None:
    def final(stage: int) -> int:
        state = StageVote(stage)
        for _ in range(3):
            state = vote(state, stage - 1, 10, rollback_from_last=False)
        return state.stage

    assert final(9) == 9
    assert final(8) == 7


def test_predictions_beyond_the_last_stage_count_as_the_last() -> None:
    assert run([11, 11, 11], stages=5, start=2) == [2, 2, 3]
    assert run([7, 7], stages=5, start=3) == [3, 3]


def test_tracking_can_follow_at_once_or_stand_still() -> None:
    latest = RuntimeSettings(stage_tracking="latest")
    fixed = RuntimeSettings(stage_tracking="fixed")
    assert track_stage(StageVote(1), 4, 10, latest) == StageVote(4)
    assert track_stage(StageVote(1), 40, 10, latest) == StageVote(9)
    assert track_stage(StageVote(1, (2, 2)), 2, 10, fixed) == StageVote(1, (2, 2))
    assert track_stage(StageVote(1, (2, 2)), 2, 10, RuntimeSettings()) == StageVote(2)


def test_stages_stay_within_the_task() -> None:
    assert run([4, 4, 4, 4], stages=5, start=4) == [4] * 4
    assert run([0, 0, 0, 0]) == [0] * 4


@given(
    st.integers(2, 15).flatmap(
        lambda stages: st.tuples(st.just(stages), st.lists(st.integers(0, stages - 1), max_size=60))
    ),
    st.integers(1, 7),
)
def test_every_move_is_one_stage_and_has_its_majority(
    case: tuple[int, list[int]], window: int
) -> None:
    stages, predictions = case
    state = StageVote()
    for prediction in predictions:
        before, state = state, vote(state, prediction, stages, window)
        recent = (*before.history, prediction)[-window:]
        step = state.stage - before.stage
        assert 0 <= state.stage < stages
        assert step in (-1, 0, 1)
        if step == 1:
            ahead = recent.count(before.stage + 1)
            assert ahead > window / 2 or recent.count(before.stage + 2) == window
        if step == -1:
            assert recent == (before.stage - 1,) * window
        assert state.history == (() if step else recent)


@given(st.lists(st.integers(0, 14), max_size=60), st.booleans())
def test_the_last_stage_is_left_by_a_rollback_alone(predictions: list[int], rollback: bool) -> None:
    state = StageVote(4)
    for prediction in predictions:
        state = vote(state, prediction, 5, rollback_from_last=rollback)
        if not rollback:
            assert state.stage == 4


@given(st.lists(st.integers(0, 14), max_size=40))
def test_never_rolls_back_while_predictions_never_fall_behind(predictions: list[int]) -> None:
    ordered = sorted(predictions)
    stages = run(ordered, stages=15)
    assert stages == sorted(stages)
