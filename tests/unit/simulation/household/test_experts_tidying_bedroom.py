"""The bedroom expert: it succeeds under noise, in order, with one hand, and answers mishaps."""

from __future__ import annotations

import numpy as np
import pytest

from hearth.core.records import Demonstration
from hearth.simulation.household.demonstrate import demonstrate
from hearth.simulation.household.experts import create
from hearth.simulation.household.robot import ACTION_SLICES

from .scenes import environment, household, put, settle

_TASK = "tidying_bedroom"


@pytest.fixture(scope="module", params=[1, 7])
def demonstration(request: pytest.FixtureRequest) -> Demonstration:
    return demonstrate(_TASK, household(), request.param, request.param, 0, 0.04)


def test_succeeds_with_purpose(demonstration: Demonstration) -> None:
    assert demonstration.success
    assert 350 < demonstration.length < 700


def test_goes_through_its_stages_in_order(demonstration: Demonstration) -> None:
    stages = demonstration.expert_stages
    assert list(np.unique(stages)) == [0, 1, 2, 3, 4, 5]
    assert np.all(np.diff(stages) >= 0)


def test_only_the_right_gripper_works(demonstration: Demonstration) -> None:
    assert np.all(demonstration.actions[:, ACTION_SLICES["left_gripper"]] == 1.0)
    assert demonstration.actions[:, ACTION_SLICES["right_gripper"]].min() == -1.0


def test_gives_up_on_a_fallen_book() -> None:
    env = environment(_TASK)
    env.reset(1)
    x, y, z = env.data.body("book").xpos
    put(env, "book", (x, y, z + 0.06), (np.sqrt(0.5), np.sqrt(0.5), 0.0, 0.0))
    settle(env)
    expert = create(_TASK)
    expert.reset(env)
    expert.act(env)
    assert expert.done
