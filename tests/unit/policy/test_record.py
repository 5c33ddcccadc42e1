"""What a prediction said and what became of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hearth.core.sections import ReturnToStage, RuntimeSettings
from hearth.policy.bundle import Bundle
from hearth.policy.record import overlap_error
from hearth.policy.runtime import Policy

from .conftest import ImaginedRunner

RUNTIME = RuntimeSettings(flow_steps=2, actions_to_execute=3, actions_to_keep=2)
TRASH = "picking_up_trash"  # task 1, three stages


def records(policy: Policy, observation: dict[str, Any], count: int) -> list:
    """The records of the first `count` predictions."""
    found = []
    while len(found) < count:
        before = policy.predictions
        policy.act(observation)
        if policy.predictions > before:
            found.append(policy.record)
    return found


def test_raw_and_voted_stages(bundle: Bundle, observation: dict[str, Any]) -> None:
    policy = Policy(ImaginedRunner(bundle, [2, 1, 1, 2, 2, 0]), RUNTIME, seed=0)
    assert policy.record is None
    found = records(policy, observation, 6)
    assert [record.raw_stage for record in found] == [2, 1, 1, 2, 2, 0]
    assert [record.voted_stage for record in found] == [0, 0, 1, 1, 1, 2]
    assert [record.stage for record in found] == [0, 0, 1, 1, 1, 2]
    policy.reset()
    assert policy.record is None


def test_a_task_rule_shows_as_a_stage_other_than_the_vote(
    bundle: Bundle, observation: dict[str, Any]
) -> None:
    rules = {TRASH: (ReturnToStage(at=1, to=0),)}
    runtime = RUNTIME.model_copy(update={"task_rules": rules})
    found = records(Policy(ImaginedRunner(bundle, [1, 1, 1]), runtime, seed=0), observation, 3)
    assert (found[2].voted_stage, found[2].stage) == (1, 0)


def test_an_opened_hand_and_the_chunk_before_the_correction(
    imagined: ImaginedRunner, observation: dict[str, Any]
) -> None:
    observation["robot_r1::proprio"][232:234] = 0.0  # the right hand is closed on nothing
    (record,) = records(Policy(imagined, RUNTIME, seed=0), observation, 1)
    assert record.opened.tolist() == [False, True]
    assert (record.actions[:, 22] == 1.0).all() and (record.kept[:, 22] == 1.0).all()
    assert not np.allclose(record.chunk[:3], record.actions)
    off = RUNTIME.model_copy(update={"gripper_correction": False})
    (record,) = records(Policy(imagined, off, seed=0), observation, 1)
    assert not record.opened.any()


def test_the_chunk_its_actions_and_what_is_kept(
    imagined: ImaginedRunner, observation: dict[str, Any]
) -> None:
    first, second = records(Policy(imagined, RUNTIME, seed=0), observation, 2)
    assert first.chunk.shape == (30, 23) and first.actions.shape == (3, 23) and first.used == 3
    np.testing.assert_array_equal(first.kept, first.chunk[3:5])
    assert first.overlap_error is None
    # The stand-in network keeps exactly to what was planned.
    assert second.overlap_error == pytest.approx(0.0, abs=1e-6)


def test_without_inpainting_chunks_leave_the_plan(
    imagined: ImaginedRunner, observation: dict[str, Any]
) -> None:
    free = RUNTIME.model_copy(update={"inpainting": False})
    first, second = records(Policy(imagined, free, seed=0), observation, 2)
    assert imagined.asked[1].kept is None
    assert first.overlap_error is None and second.overlap_error > 0.05
    nothing_kept = RUNTIME.model_copy(update={"actions_to_keep": 0})
    found = records(Policy(imagined, nothing_kept, seed=0), observation, 2)
    assert [record.overlap_error for record in found] == [None, None]


def test_compression_uses_more_predicted_actions_than_steps(
    imagined: ImaginedRunner, observation: dict[str, Any]
) -> None:
    settings = {"actions_to_execute": 26, "compression": 1.3, "compression_gripper_span": None}
    runtime = RUNTIME.model_copy(update=settings)
    (record,) = records(Policy(imagined, runtime, seed=0), observation, 1)
    assert record.used == 26 and len(record.actions) == 20


def test_the_overlap_error_is_the_root_mean_square_over_the_planned_actions() -> None:
    predicted = np.zeros((30, 23), np.float32)
    predicted[:2] = 3.0
    planned = np.zeros((4, 23), np.float32)
    assert overlap_error(predicted, planned) == pytest.approx((9.0 / 2) ** 0.5)
