"""Stage voting (report, 7.3): a majority over recent predictions moves the stage by one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StageVote:
    """The voted stage and the predictions since the last transition, oldest first."""

    stage: int = 0
    history: tuple[int, ...] = ()


def vote(before: StageVote, prediction: int, stages: int, window: int = 3) -> StageVote:
    """Take in one predicted stage.

    Nothing moves until the window is full. Then, for a window of three: two of three predictions
    of the next stage advance by one; three of the one after the next advance by one; three of
    the previous stage roll back by one, from any stage. Every transition clears the history.

    Args:
        before: the vote so far.
        prediction: the predicted stage, 0 <= prediction < stages.
        stages: the task's number of stages.
        window: how many predictions vote; the majority is more than half of them.
    """
    history = (*before.history, prediction)[-window:]
    stage = before.stage
    if len(history) < window:
        return StageVote(stage, history)
    forward = history.count(stage + 1) > window // 2
    skipped = history.count(stage + 2) == window
    behind = history.count(stage - 1) == window
    if (forward or skipped) and stage + 1 < stages:
        return StageVote(stage + 1)
    if behind and stage > 0:
        return StageVote(stage - 1)
    return StageVote(stage, history)
