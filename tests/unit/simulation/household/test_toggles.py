"""A push button: held by a finger it switches once, and again only after it came up."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from hearth.core.errors import SimulationError
from hearth.simulation.household import objects
from hearth.simulation.household.shapes import box
from hearth.simulation.household.toggles import Toggle

GREY = (0.5, 0.5, 0.5)


@pytest.fixture
def radio():
    """A radio at rest with a plunger above its button, and the toggle that reads it."""
    spec = mujoco.MjSpec()
    spec.option.gravity[2] = 0.0
    objects.radio(spec.worldbody.add_body(name="radio"))
    spec.add_exclude(name="button", bodyname1="radio", bodyname2="radio_button")
    plunger = spec.worldbody.add_body(name="plunger", pos=[0, 0, objects.RADIO_HEIGHT_M + 0.04])
    slide = mujoco.mjtJoint.mjJNT_SLIDE
    limits = {"range": [-0.05, 0.02], "limited": True}
    plunger.add_joint(name="plunger", type=slide, axis=[0, 0, 1], damping=2, **limits)
    box(plunger, (0, 0, 0), (0.01, 0.01, 0.01), GREY, mass=0.1, name="tip")
    model = spec.compile()
    return model, mujoco.MjData(model), np.array([model.geom("tip").id])


def push(model, data, toggle: Toggle, force: float, steps: int) -> bool:
    data.qfrc_applied[model.joint("plunger").dofadr[0]] = force
    for _ in range(steps):
        mujoco.mj_step(model, data, 8)
        toggle.update(data)
    return toggle.on


def test_holding_switches_once_and_pressing_again_switches_back(radio):
    model, data, fingers = radio
    toggle = Toggle(model, "radio", fingers)
    dark = model.geom("radio_light").rgba.copy()
    assert not toggle.on
    assert push(model, data, toggle, -10.0, 40)
    assert not np.array_equal(model.geom("radio_light").rgba, dark)
    assert push(model, data, toggle, -10.0, 40)
    assert push(model, data, toggle, 2.0, 40)
    assert not push(model, data, toggle, -10.0, 60)
    toggle.reset()
    assert not toggle.on and np.array_equal(model.geom("radio_light").rgba, dark)


def test_what_is_no_finger_does_not_switch(radio):
    model, data, _ = radio
    toggle = Toggle(model, "radio", np.array([], dtype=int))
    assert not push(model, data, toggle, -10.0, 40)
    assert data.joint("radio_button").qpos[0] < -0.008


def test_an_object_without_a_button_has_no_switch(radio):
    with pytest.raises(SimulationError, match="'plunger' has no button"):
        Toggle(radio[0], "plunger", radio[2])
