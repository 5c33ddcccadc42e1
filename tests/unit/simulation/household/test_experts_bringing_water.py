"""The water expert opens the refrigerator, brings both bottles and closes it again."""

from __future__ import annotations

import numpy as np
import pytest
from tests.unit.simulation.household.scenes import environment

from hearth.simulation.household.experts import NoisyExecution, create

_TASK = "bringing_water"
_LIMIT = 1000
_BOTTLES = ("bottle_1", "bottle_2")


@pytest.mark.parametrize("instance", [1, 8])
def test_brings_both_bottles_and_closes_the_door(instance: int) -> None:
    env = environment(_TASK)
    env.reset(instance, start_noise_seed=1000 + instance)
    expert = create(_TASK)
    execution = NoisyExecution(1000 + instance, base=expert.base_noise)
    expert.reset(env)
    stages, angles, fastest = [], [], 0.0
    terminated = False
    while not terminated and env.steps < _LIMIT:
        action = expert.act(env)
        stages.append(expert.stage)
        angles.append(float(env.data.joint("fridge_hinge").qpos[0]))
        before = {name: env.data.body(name).xpos.copy() for name in _BOTTLES}
        terminated = env.step(execution(action, expert.noise_gain)).terminated
        moved = [np.linalg.norm(env.data.body(name).xpos - before[name]) for name in _BOTTLES]
        fastest = max(fastest, *moved)
    angles.append(float(env.data.joint("fridge_hinge").qpos[0]))
    assert terminated
    # Closed at both ends, wide open between: only the stage tells the two look-alikes apart.
    assert angles[0] < 0.02
    assert max(angles) > 1.0
    assert angles[-1] < 0.11
    assert stages[0] == 0
    assert set(stages) == set(range(6))
    assert stages[-1] == 5
    # Nothing was teleported: no bottle moves faster than a hand, 0.15 m a step being 4.5 m/s.
    assert fastest < 0.15
