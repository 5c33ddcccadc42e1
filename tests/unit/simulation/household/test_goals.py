"""Each activity's goal, reached by hand: the BEHAVIOR definitions decide, not the simulator."""

from __future__ import annotations

import numpy as np
import pytest

from hearth.core.errors import SimulationError
from hearth.simulation.household import furniture, objects
from hearth.simulation.household.goals import Goals, _text
from hearth.simulation.household.toggles import PRESSED_M

from .scenes import environment, now, put, rest, settle

FLAT = (np.sqrt(0.5), np.sqrt(0.5), 0.0, 0.0)


def q(env) -> float:
    return env.metrics()["q_score"]["final"]


def bottom(env, name: str) -> np.ndarray:
    return env.data.joint(name).qpos[:3].copy()


def press(env, monkeypatch, forces) -> list[bool]:
    """Push the button with each force [N] for one step, as if a finger were there."""
    monkeypatch.setattr(env._toggles["radio"], "_touched", lambda data: True)
    button = env.model.joint("radio_button").dofadr[0]
    ends = []
    for force in forces:
        env.data.qfrc_applied[button] = force
        ends.append(env.step(rest(env)).terminated)
    return ends


def test_radio_switches_on_when_its_button_is_held_down(monkeypatch):
    env = environment("turning_on_radio")
    env.reset(1)
    assert now(env) == {"toggled_on radio_receiver.n.01_1": False}
    ends = press(env, monkeypatch, [-8.0] * 8)
    assert not ends[0] and ends[-1]
    assert q(env) == 1.0 and env.metrics()["success"] is True


def test_a_knock_does_not_switch_the_radio(monkeypatch):
    env = environment("turning_on_radio")
    env.reset(1)
    assert not any(press(env, monkeypatch, (-8.0, -8.0, 0.0, 0.0, -8.0, 0.0, 0.0)))


def test_a_radio_on_its_head_stays_off():
    env = environment("turning_on_radio")
    env.reset(1)
    put(env, "radio", (0.9, 0.0, 0.74 + objects.RADIO_HEIGHT_M + 0.02), (0.0, 1.0, 0.0, 0.0))
    settle(env, 15)
    assert env.data.joint("radio_button").qpos[0] < PRESSED_M
    assert q(env) == 0.0


def test_each_can_in_the_ashcan_earns_a_third():
    env = environment("picking_up_trash")
    env.reset(1)
    for count in (1, 2, 3):
        middle = bottom(env, "ashcan")
        shift = (0.0, (count - 2) * 0.09, 0.03)
        put(env, f"can_{count}", middle + shift)
        settle(env)
        assert q(env) == pytest.approx(count / 3)
    assert env.goals.satisfied()


def test_a_can_beside_or_above_the_ashcan_is_not_inside():
    env = environment("picking_up_trash")
    env.reset(1)
    middle = bottom(env, "ashcan")
    put(env, "can_1", middle + np.array([0.3, 0.0, 0.0]))
    put(env, "can_2", middle + np.array([0.0, 0.0, 0.45]))
    settle(env, 1)
    assert not any(now(env).values())


def test_wood_counts_on_the_corridor_floor_only():
    env = environment("bringing_in_wood")
    env.reset(1)
    for index in (1, 2, 3):
        put(env, f"plywood_{index}", (-1.5 + index * 0.5, 1.2, 0.01), FLAT)
    settle(env)
    assert env.goals.satisfied()
    # Half over the garden: the middle decides.
    put(env, "plywood_3", (0.2, 0.70, 0.01), FLAT)
    settle(env)
    assert q(env) == pytest.approx(2 / 3)


def test_wood_on_wood_is_not_on_the_floor():
    env = environment("bringing_in_wood")
    env.reset(1)
    for index in (1, 2, 3):
        put(env, f"plywood_{index}", (0.0, 1.4, 0.01 + 0.02 * index), FLAT)
    settle(env, 30)
    assert sum(now(env).values()) == 1


@pytest.mark.parametrize(("lower", "upper"), [(1, 2), (2, 1)])
def test_boxes_may_be_stacked_either_way(lower: int, upper: int):
    env = environment("moving_boxes_to_storage")
    env.reset(1)
    put(env, f"box_{lower}", (0.9, 0.5, 0.001))
    settle(env)
    assert q(env) == 0.5
    put(env, f"box_{upper}", (0.95, 0.46, 0.163))
    settle(env)
    assert env.goals.satisfied() and q(env) == 1.0


def test_both_boxes_on_the_garage_floor_are_half_the_way():
    env = environment("moving_boxes_to_storage")
    env.reset(1)
    put(env, "box_1", (0.9, 0.5, 0.001))
    put(env, "box_2", (0.9, 1.0, 0.001))
    settle(env)
    assert q(env) == 0.5 and not env.goals.satisfied()


def test_bedroom_is_tidy():
    env = environment("tidying_bedroom")
    env.reset(1)
    put(env, "sandal_1", (0.47, 0.60, 0.001))
    settle(env)
    assert q(env) == pytest.approx(1 / 3)
    put(env, "sandal_2", (0.47, 0.49, 0.001))
    settle(env)
    assert q(env) == pytest.approx(2 / 3)
    put(env, "book", (0.92, -0.42, furniture.NIGHTSTAND_HEIGHT_M + 0.001))
    settle(env)
    assert env.goals.satisfied()


def test_a_door_that_was_closed_all_along_earns_nothing():
    env = environment("bringing_water")
    env.reset(1)
    hinge = env.data.joint("fridge_hinge")
    assert now(env)["not (open electric_refrigerator.n.01_1)"] and q(env) == 0.0
    hinge.qpos[0] = 1.2
    settle(env, 1)
    assert not now(env)["not (open electric_refrigerator.n.01_1)"]
    height = furniture.COFFEE_TABLE_HEIGHT_M + 0.001
    put(env, "bottle_1", (0.85, 0.6, height))
    settle(env)
    assert q(env) == pytest.approx(1 / 3)
    put(env, "bottle_2", (0.85, 0.9, height))
    settle(env)
    assert q(env) == pytest.approx(2 / 3) and not env.goals.satisfied()
    hinge.qpos[0] = 0.0
    settle(env, 1)
    assert q(env) == 1.0


def test_a_scene_without_a_named_object_is_refused():
    env = environment("turning_on_radio")
    with pytest.raises(SimulationError, match=r"lacks .*radio_receiver\.n\.01_1"):
        Goals("turning_on_radio", env.goals._start[0].backend._predicates, {})


def test_conditions_read_as_one_line():
    assert _text(["not", ["open", "?fridge_1"]]) == "not (open fridge_1)"
