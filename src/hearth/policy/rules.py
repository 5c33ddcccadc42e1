"""Task rules (report, 7.4.2): small corrections that the settings give to single tasks.

There are two kinds. A stage rule may move the policy to another stage. A hand rule then decides,
in the stage reached, which closed hands to open; the general gripper rule is the last of them.
Rules are tried in their order, and of each kind only the first that decides acts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hearth.core.sections import (
    OpenUnlessOtherHolds,
    ReturnToStage,
    TaskRule,
)
from hearth.policy.correction import (
    Correction,
    closed_hands,
    failed_grasps,
    holding_hands,
)


@dataclass(frozen=True)
class Situation:
    """What rules decide on.

    Attributes:
        stage: the current stage, this prediction's vote counted.
        state: float[D], the robot's state, not normalised.
        grippers: state indices of the hands' grippers, left before right.
    """

    stage: int
    state: np.ndarray
    grippers: tuple[int, ...]


def return_to_stage(situation: Situation, rule: ReturnToStage) -> int | None:
    """At stage `at` the task should be over and is not: try again from stage `to`."""
    return rule.to if situation.stage == rule.at else None


def open_unless_other_holds(situation: Situation, rule: OpenUnlessOtherHolds) -> np.ndarray | None:
    """From `from_stage` on, a closed hand opens unless another hand holds something."""
    if situation.stage < rule.from_stage:
        return None
    holding = holding_hands(situation.state, situation.grippers)
    opened = closed_hands(situation.state, situation.grippers) & ~holding.any()
    return opened if opened.any() else None


# Stage rules give the stage to continue in, hand rules bool[hands] to open; None: they pass.
STAGE_RULES: dict[str, Callable[..., int | None]] = {"return_to_stage": return_to_stage}
HAND_RULES: dict[str, Callable[..., np.ndarray | None]] = {
    "open_unless_other_holds": open_unless_other_holds
}


def decide(
    situation: Situation, rules: Sequence[TaskRule], closed_in_demonstrations: np.ndarray | None
) -> Correction:
    """What the task's rules and then the general gripper rule make of a situation.

    Args:
        situation: stage and state.
        rules: of this task, in order.
        closed_in_demonstrations: bool[stages, hands] of this task; None: no gripper rule.
    """
    stages = (STAGE_RULES[r.rule](situation, r) for r in rules if r.rule in STAGE_RULES)
    stage = next((stage for stage in stages if stage is not None), situation.stage)
    reached = replace(situation, stage=stage)
    hands = (HAND_RULES[r.rule](reached, r) for r in rules if r.rule in HAND_RULES)
    opened = next((opened for opened in hands if opened is not None), None)
    if opened is None and closed_in_demonstrations is not None:
        closed = closed_in_demonstrations[stage]
        opened = failed_grasps(situation.state, closed, situation.grippers)
    if opened is None:
        opened = np.zeros(len(situation.grippers), dtype=bool)
    return Correction(opened, stage)
