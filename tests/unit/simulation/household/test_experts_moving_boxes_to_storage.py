"""The expert for the boxes: it succeeds under noise, in order, and fetches a box that fell."""

from __future__ import annotations

import numpy as np
import pytest

from hearth.core.records import Demonstration
from hearth.simulation.household.demonstrate import demonstrate
from hearth.simulation.household.experts import create
from hearth.simulation.household.robot import ACTION_SLICES

from .scenes import environment, household, now, put

_TASK = "moving_boxes_to_storage"


@pytest.fixture(scope="module", params=[1, 3])
def demonstration(request: pytest.FixtureRequest) -> Demonstration:
    return demonstrate(_TASK, household(), request.param, 1000 + request.param, 0, 0.04)


def test_succeeds_with_purpose(demonstration: Demonstration) -> None:
    assert demonstration.success
    assert 200 < demonstration.length < 500


def test_goes_through_its_stages_in_order(demonstration: Demonstration) -> None:
    stages = demonstration.expert_stages
    assert list(np.unique(stages)) == [0, 1, 2, 3]
    assert np.all(np.diff(stages) >= 0)


def test_only_the_right_gripper_works(demonstration: Demonstration) -> None:
    assert np.all(demonstration.actions[:, ACTION_SLICES["left_gripper"]] == 1.0)
    assert demonstration.actions[:, ACTION_SLICES["right_gripper"]].min() == -1.0


def test_fetches_a_box_that_it_lost() -> None:
    env = environment(_TASK)
    env.reset(2)
    start = env.data.body("box_1").xpos.copy()
    expert = create(_TASK)
    expert.reset(env)
    lost = False
    stages = []
    while expert.stage < 2 and env.steps < 500:
        env.step(expert.act(env))
        stages.append(expert.stage)
        if not lost and expert.stage == 1 and env.data.body("box_1").xpos[1] > start[1] + 0.2:
            put(env, "box_1", start)
            lost = True
    assert lost
    changes = np.flatnonzero(np.diff(stages))
    assert [stages[index + 1] for index in changes] == [1, 0, 1, 2]
    assert now(env)["ontop storage_container.n.01_1 floor.n.01_2"]
