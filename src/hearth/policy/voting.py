"""Stage voting (report, 7.3): a majority over recent predictions moves the stage by one."""

from __future__ import annotations

from dataclasses import dataclass

from hearth.core.sections import RuntimeSettings


@dataclass(frozen=True)
class StageVote:
    """The voted stage and the predictions since the last transition, oldest first."""

    stage: int = 0
    history: tuple[int, ...] = ()


def vote(
    before: StageVote,
    prediction: int,
    stages: int,
    window: int = 3,
    *,
    rollback_from_last: bool = True,
) -> StageVote:
    """Take in one predicted stage.

    Nothing moves until the window is full. Then, for a window of three: two of three predictions
    of the next stage advance by one; three of the one after the next advance by one; three of
    the previous stage roll back by one. Every transition clears the history.

    Args:
        before: the vote so far.
        prediction: the predicted stage; one beyond the last counts as the last.
        stages: the task's number of stages.
        window: how many predictions vote; the majority is more than half of them.
        rollback_from_last: whether the last stage can be left; not in the public code.
    """
    history = (*before.history, min(prediction, stages - 1))[-window:]
    stage = before.stage
    if len(history) < window:
        return StageVote(stage, history)
    forward = history.count(stage + 1) > window // 2
    skipped = history.count(stage + 2) == window
    behind = history.count(stage - 1) == window
    if (forward or skipped) and stage + 1 < stages:
        return StageVote(stage + 1)
    if behind and stage > 0 and (rollback_from_last or stage + 1 < stages):
        return StageVote(stage - 1)
    return StageVote(stage, history)


def track_stage(
    before: StageVote, prediction: int, stages: int, runtime: RuntimeSettings
) -> StageVote:
    """Follow the predicted stage as `runtime.stage_tracking` says: by vote, at once, or not."""
    if runtime.stage_tracking == "fixed":
        return before
    if runtime.stage_tracking == "latest":
        return StageVote(min(prediction, stages - 1))
    return vote(
        before,
        prediction,
        stages,
        runtime.stage_voting_window,
        rollback_from_last=runtime.stage_rollback_from_last,
    )
