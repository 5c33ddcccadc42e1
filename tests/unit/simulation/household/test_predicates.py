"""Predicates on a small scene of boxes, with OmniGibson's meaning."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from hearth.core.errors import SimulationError
from hearth.simulation.household.predicates import Predicates
from hearth.simulation.household.shapes import box
from hearth.simulation.household.world import World

GREY = (0.5, 0.5, 0.5)


@pytest.fixture
def scene():
    """A floor, a shelf on posts (open below), an open crate with a door, and a free cube."""
    spec = mujoco.MjSpec()
    spec.compiler.degree = False
    box(spec.worldbody.add_body(name="floor"), (0, 0, -0.05), (2, 2, 0.05), GREY)
    shelf = spec.worldbody.add_body(name="shelf", pos=[1, 0, 0])
    box(shelf, (0, 0, 0.5), (0.2, 0.2, 0.01), GREY)
    crate = spec.worldbody.add_body(name="crate", pos=[-1, 0, 0])
    for x, y, half in ((0.2, 0, (0.01, 0.2, 0.2)), (-0.2, 0, (0.01, 0.2, 0.2))):
        box(crate, (x, y, 0.2), half, GREY)
    for y in (-0.2, 0.2):
        box(crate, (0, y, 0.2), (0.2, 0.01, 0.2), GREY)
    lid = crate.add_body(name="lid", pos=[0, 0.2, 0.42])
    lid.add_joint(
        name="lid_hinge", type=mujoco.mjtJoint.mjJNT_HINGE, axis=[1, 0, 0], range=[0.0, 2.0]
    )
    box(lid, (0, 0, 0), (0.01, 0.01, 0.01), GREY)
    cube = spec.worldbody.add_body(name="cube", pos=[0, 0, 1.0])
    box(cube, (0, 0, 0), (0.05, 0.05, 0.05), GREY)
    cube.add_freejoint(name="cube")
    model = spec.compile()
    data = mujoco.MjData(model)
    world = World(model, data, ["floor", "shelf", "crate", "cube"])
    predicates = Predicates(world, {})

    def holds(name: str, *names: str, cube_at=None) -> bool:
        if cube_at is not None:
            data.joint("cube").qpos[:3] = cube_at
        mujoco.mj_forward(model, data)
        world.refresh()
        return predicates.evaluate(name, *(world.entities[item] for item in names))

    holds.data = data
    return holds


def test_on_top_needs_contact(scene):
    assert scene("ontop", "cube", "floor", cube_at=(0, 0, 0.0495))
    assert not scene("ontop", "cube", "floor", cube_at=(0, 0, 0.06))


def test_on_top_needs_support_below(scene):
    assert scene("ontop", "cube", "shelf", cube_at=(1, 0, 0.5595))
    # Touching the shelf from below is touching, not standing on it.
    assert scene("touching", "cube", "shelf", cube_at=(1, 0, 0.4405))
    assert not scene("ontop", "cube", "shelf")


def test_under_means_below_without_contact(scene):
    assert scene("under", "cube", "shelf", cube_at=(1, 0, 0.2))
    assert not scene("under", "cube", "shelf", cube_at=(0.5, 0, 0.2))
    assert not scene("under", "cube", "shelf", cube_at=(1, 0, 0.4405))


def test_inside_needs_walls_around(scene):
    assert scene("inside", "cube", "crate", cube_at=(-1, 0, 0.1))
    assert not scene("inside", "cube", "crate", cube_at=(-1, 0, 0.5))
    assert not scene("inside", "cube", "crate", cube_at=(-0.7, 0, 0.1))
    assert not scene("inside", "cube", "shelf", cube_at=(1, 0, 0.5595))


def test_next_to_depends_on_size(scene):
    # Extents: crate 0.42, 0.42, 0.43 and cube 0.1 each: a sixth of the mean sum is 0.087 m.
    assert scene("nextto", "cube", "crate", cube_at=(-0.66, 0, 0.1))
    assert scene("nextto", "crate", "cube")
    assert not scene("nextto", "cube", "crate", cube_at=(-0.60, 0, 0.1))
    # Near, but above the crate: no horizontal ray meets it.
    assert not scene("nextto", "cube", "crate", cube_at=(-1, 0, 0.52))


@pytest.mark.parametrize(("angle", "is_open"), [(0.0, False), (0.09, False), (0.11, True)])
def test_open_beyond_a_twentieth_of_the_range(scene, angle: float, is_open: bool):
    scene.data.joint("lid_hinge").qpos[0] = angle
    assert scene("open", "crate") is is_open


def test_a_turned_thing_has_turned_bounds(scene):
    quaternion = (np.cos(np.pi / 8), 0, 0, np.sin(np.pi / 8))
    scene.data.joint("cube").qpos[3:] = quaternion
    # The corner of a cube turned by 45 degrees reaches 0.0707 m.
    assert scene("nextto", "cube", "crate", cube_at=(-0.640, 0, 0.1))


def test_errors_name_what_is_wrong(scene):
    with pytest.raises(SimulationError, match=r"unknown predicate 'cooked'.*inside"):
        scene("cooked", "cube")
    with pytest.raises(SimulationError, match="'cube' has no hinged door"):
        scene("open", "cube")
    with pytest.raises(SimulationError, match="'cube' has no switch"):
        scene("toggled_on", "cube")
