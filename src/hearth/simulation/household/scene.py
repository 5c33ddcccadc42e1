"""The compiled scene of a task: rooms, light, furniture, movable things and the robot."""

from __future__ import annotations

import mujoco
import numpy as np

from hearth.simulation.household import shapes
from hearth.simulation.household.layout import Layout, Thing
from hearth.simulation.household.robot import add_robot
from hearth.simulation.household.shapes import box, trim

VIEWER_CAMERA = "viewer"
_WALL_HEIGHT_M = 2.6


def compile_scene(layout: Layout) -> mujoco.MjModel:
    """Build and compile one task's model.

    Movable things stand at their nominal places; instances.py moves them.
    """
    spec = mujoco.MjSpec()
    spec.modelname = layout.task
    add_robot(spec)
    _add_light(spec)
    _add_rooms(spec, layout)
    for thing in layout.fixed:
        body = _add_body(spec, thing)
        for child in body.bodies:
            # MuJoCo's parent-child filter does not cover parents that are part of the world.
            spec.add_exclude(name=child.name, bodyname1=body.name, bodyname2=child.name)
    for thing in layout.movable:
        _add_body(spec, thing).add_freejoint(name=thing.name)
    _add_viewer(spec, layout)
    return spec.compile()


def _add_body(spec: mujoco.MjSpec, thing: Thing) -> mujoco.MjsBody:
    half = thing.yaw / 2
    body = spec.worldbody.add_body(
        name=thing.name, pos=list(thing.position), quat=[np.cos(half), 0, 0, np.sin(half)]
    )
    thing.build(body)
    return body


def _add_light(spec: mujoco.MjSpec) -> None:
    # Fixed, or the clipping planes would depend on each task's furniture.
    spec.stat.extent = 1.0
    spec.stat.center[:] = 0.5, 0.0, 0.5
    spec.visual.map.znear = 0.02
    spec.visual.map.zfar = 20.0
    spec.visual.headlight.ambient[:] = 0.54
    spec.visual.headlight.diffuse[:] = 0.24
    spec.visual.headlight.specular[:] = 0.0
    spec.worldbody.add_light(
        name="ceiling",
        type=mujoco.mjtLightType.mjLIGHT_SPOT,
        pos=[-0.6, -0.6, 5.0],
        dir=[0.2, 0.15, -1.0],
        cutoff=60,
        exponent=0,
        attenuation=[1, 0, 0],
        diffuse=[0.42, 0.41, 0.39],
        specular=[0.05, 0.05, 0.05],
        castshadow=True,
    )


def _add_rooms(spec: mujoco.MjSpec, layout: Layout) -> None:
    """Floors whose tops lie at z = 0, four walls with skirting, a window and a picture."""
    for floor in layout.floors:
        body = spec.worldbody.add_body(name=floor.name)
        (x0, x1), (y0, y1) = floor.x, floor.y
        centre = ((x0 + x1) / 2, (y0 + y1) / 2, -0.05)
        box(body, centre, ((x1 - x0) / 2, (y1 - y0) / 2, 0.05), floor.colour)
    x = [value for floor in layout.floors for value in floor.x]
    y = [value for floor in layout.floors for value in floor.y]
    x_range, y_range = (min(x), max(x)), (min(y), max(y))
    walls = spec.worldbody.add_body(name="walls")
    _add_walls(walls, x_range, y_range, shapes.SKY if layout.outdoor else shapes.WALL)
    if not layout.outdoor:
        _add_window(walls, x_range[1])


def _add_walls(
    body: mujoco.MjsBody, x: tuple[float, float], y: tuple[float, float], colour: shapes.Colour
) -> None:
    """Four walls; the one on the left (+y) always belongs to the house and carries a picture."""
    half, tall = 0.05, _WALL_HEIGHT_M / 2
    (x0, x1), (y0, y1) = x, y
    middle_x, middle_y, wide_x, wide_y = (x0 + x1) / 2, (y0 + y1) / 2, (x1 - x0) / 2, (y1 - y0) / 2
    for at in (x0 - half, x1 + half):
        box(body, (at, middle_y, tall), (half, wide_y, tall), colour)
    box(body, (middle_x, y0 - half, tall), (wide_x, half, tall), colour)
    box(body, (middle_x, y1 + half, tall), (wide_x, half, tall), shapes.WALL)
    trim(box(body, (middle_x, y1, 0.04), (wide_x, 0.012, 0.04), shapes.TRIM))
    trim(box(body, (1.7, y1, 1.55), (0.30, 0.015, 0.38), shapes.WALNUT))
    trim(box(body, (1.7, y1 - 0.01, 1.55), (0.26, 0.015, 0.34), shapes.TERRACOTTA))


def _add_window(body: mujoco.MjsBody, x: float) -> None:
    """A window and skirting on the wall at `x`."""
    trim(box(body, (x, 0, 0.04), (0.012, 2.6, 0.04), shapes.TRIM))
    trim(box(body, (x, -0.1, 1.6), (0.02, 0.75, 0.55), shapes.TRIM))
    trim(box(body, (x - 0.01, -0.1, 1.6), (0.02, 0.69, 0.49), shapes.SKY))
    trim(box(body, (x - 0.02, -0.1, 1.6), (0.02, 0.025, 0.49), shapes.TRIM))


def _add_viewer(spec: mujoco.MjSpec, layout: Layout) -> None:
    position, target = (np.asarray(point, dtype=float) for point in layout.viewer)
    forward = target - position
    right = np.cross(forward, (0.0, 0.0, 1.0))
    up = np.cross(right, forward)
    spec.worldbody.add_camera(
        name=VIEWER_CAMERA, pos=position, xyaxes=[*right, *up], fovy=50, resolution=[640, 480]
    )
