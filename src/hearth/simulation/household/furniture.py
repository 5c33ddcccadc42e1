"""Fixed furniture. Every builder fills a body whose origin lies on the floor, front towards -x."""

from __future__ import annotations

import mujoco
import numpy as np

from hearth.simulation.household import shapes
from hearth.simulation.household.shapes import box, capsule, cylinder, ellipsoid, trim

TABLE_HEIGHT_M = 0.74
COFFEE_TABLE_HEIGHT_M = 0.45
BED_HEIGHT_M = 0.50
NIGHTSTAND_HEIGHT_M = 0.55
FRIDGE_SHELF_M = 0.92
FRIDGE_DOOR_RANGE_RAD = 2.0


def table(body: mujoco.MjsBody) -> None:
    """A 0.64 x 1.30 m table, 0.74 m high."""
    _four_legged(body, (0.32, 0.65), TABLE_HEIGHT_M, 0.028, shapes.OAK)


def coffee_table(body: mujoco.MjsBody) -> None:
    """A 0.55 x 0.90 m coffee table, 0.45 m high, with a shelf below."""
    _four_legged(body, (0.275, 0.45), COFFEE_TABLE_HEIGHT_M, 0.025, shapes.WALNUT)
    box(body, (0, 0, 0.14), (0.24, 0.41, 0.012), shapes.WALNUT)


def nightstand(body: mujoco.MjsBody) -> None:
    """A 0.40 x 0.44 m nightstand with two drawers."""
    height = NIGHTSTAND_HEIGHT_M
    box(body, (0, 0, height / 2), (0.20, 0.22, height / 2), shapes.OAK)
    for level in (0.17, 0.40):
        trim(box(body, (-0.2, 0, level), (0.006, 0.19, 0.095), shapes.BIRCH))
        trim(box(body, (-0.21, 0, level), (0.01, 0.05, 0.008), shapes.CHARCOAL))


def bed(body: mujoco.MjsBody) -> None:
    """A bed of 1.4 x 2.0 m along y, its head at -y; the mattress top is 0.50 m high."""
    top = BED_HEIGHT_M
    box(body, (0, 0, 0.13), (0.70, 1.00, 0.13), shapes.WALNUT)
    box(body, (0, 0.30, (0.26 + top) / 2), (0.69, 0.69, (top - 0.26) / 2), shapes.NAVY)
    box(body, (0, -0.70, (0.26 + top) / 2), (0.68, 0.31, (top - 0.26) / 2), shapes.LINEN)
    box(body, (0, -1.03, 0.34), (0.70, 0.03, 0.34), shapes.WALNUT)
    for x in (-0.32, 0.32):
        ellipsoid(body, (x, -0.78, top + 0.04), (0.26, 0.17, 0.07), shapes.TRIM)


def sofa(body: mujoco.MjsBody) -> None:
    """A three-seat sofa."""
    box(body, (0, 0, 0.2), (0.42, 0.95, 0.2), shapes.DENIM)
    box(body, (0.34, 0, 0.58), (0.1, 0.95, 0.2), shapes.DENIM)
    for y in (-0.88, 0.88):
        box(body, (-0.02, y, 0.48), (0.4, 0.09, 0.1), shapes.DENIM)
    for y in (-0.4, 0.4):
        trim(box(body, (-0.06, y, 0.43), (0.33, 0.37, 0.05), (0.58, 0.65, 0.74)))
    trim(box(body, (0.19, -0.55, 0.62), (0.06, 0.2, 0.17), shapes.MUSTARD))


def rug(body: mujoco.MjsBody) -> None:
    """A flat rug of 1.8 x 2.0 m, to look at only."""
    trim(box(body, (0, 0, 0.002), (0.90, 1.00, 0.002), (0.80, 0.76, 0.68)))
    trim(box(body, (0, 0, 0.003), (0.82, 0.92, 0.002), (0.66, 0.70, 0.72)))


def plant(body: mujoco.MjsBody) -> None:
    """A potted plant, 1.1 m high."""
    cylinder(body, (0, 0, 0.17), 0.17, 0.17, shapes.TERRACOTTA)
    trim(capsule(body, (0, 0, 0.34), (0, 0, 0.75), 0.02, shapes.WALNUT))
    for x, y, z in ((0.0, 0.1, 0.95), (0.12, -0.08, 0.80), (-0.13, -0.04, 0.72)):
        trim(ellipsoid(body, (x, y, z), (0.17, 0.17, 0.2), shapes.LEAF))


def lamp(body: mujoco.MjsBody) -> None:
    """A floor lamp, 1.6 m high."""
    cylinder(body, (0, 0, 0.015), 0.16, 0.015, shapes.CHARCOAL)
    capsule(body, (0, 0, 0.03), (0, 0, 1.4), 0.014, shapes.CHARCOAL)
    cylinder(body, (0, 0, 1.5), 0.17, 0.13, (1.0, 0.93, 0.76))


def counter(body: mujoco.MjsBody) -> None:
    """A kitchen counter of 0.6 x 1.8 m with wall cupboards above."""
    box(body, (0, 0, 0.44), (0.30, 0.90, 0.44), (0.90, 0.91, 0.88))
    box(body, (-0.01, 0, 0.90), (0.32, 0.92, 0.02), shapes.WALNUT)
    box(body, (0.12, 0, 1.75), (0.18, 0.90, 0.32), (0.90, 0.91, 0.88))
    for y in (-0.6, 0.0, 0.6):
        trim(box(body, (-0.305, y, 0.45), (0.006, 0.27, 0.36), (0.70, 0.78, 0.74)))


def shelves(body: mujoco.MjsBody) -> None:
    """An open shelf unit, 1.6 m high, with a few things on it."""
    for y in (-0.5, 0.5):
        box(body, (0, y, 0.8), (0.18, 0.02, 0.8), shapes.BIRCH)
    for z in (0.1, 0.6, 1.1, 1.58):
        box(body, (0, 0, z), (0.18, 0.5, 0.02), shapes.BIRCH)
    things = ((-0.25, 0.22, shapes.TEAL), (0.22, 0.72, shapes.MUSTARD), (-0.1, 1.22, shapes.NAVY))
    for y, z, colour in things:
        trim(box(body, (0, y, z + 0.03), (0.13, 0.18, 0.13), colour))


def hedge(body: mujoco.MjsBody) -> None:
    """A garden hedge, 2.4 m long."""
    box(body, (0, 0, 0.5), (0.22, 1.2, 0.5), shapes.LEAF)
    for y in (-0.8, 0.0, 0.8):
        trim(ellipsoid(body, (0, y, 1.0), (0.26, 0.42, 0.16), (0.36, 0.58, 0.34)))


def fridge(body: mujoco.MjsBody) -> None:
    """A refrigerator of 0.60 x 0.60 x 1.65 m; the upper compartment has a hinged door.

    The door hangs on the right (-y), opens towards -x and carries a vertical handle on the left.
    """
    half, front, back, floor, top = 0.30, -0.30, 0.30, 0.62, 1.65
    middle, tall = (floor + top) / 2, (top - floor) / 2
    white = (0.93, 0.94, 0.95)
    box(body, (0, 0, floor / 2), (0.30, half, floor / 2), shapes.STEEL)
    box(body, (back - 0.02, 0, middle), (0.02, half, tall), white)
    for y in (-half + 0.02, half - 0.02):
        box(body, (0, y, middle), (0.30, 0.02, tall), white)
    box(body, (0, 0, top - 0.02), (0.30, half, 0.02), white)
    box(body, (0.03, 0, FRIDGE_SHELF_M - 0.01), (0.24, half - 0.04, 0.01), shapes.SKY)
    box(body, (0.03, 0, 1.29), (0.24, half - 0.04, 0.01), shapes.SKY)
    trim(
        capsule(
            body, (front - 0.03, 0.22, 0.40), (front - 0.03, 0.22, 0.56), 0.012, shapes.CHARCOAL
        )
    )
    door = body.add_body(name=f"{body.name}_door", pos=[front - 0.022, -half, middle])
    door.add_joint(
        name=f"{body.name}_hinge",
        type=mujoco.mjtJoint.mjJNT_HINGE,
        axis=[0, 0, 1],
        range=[0.0, FRIDGE_DOOR_RANGE_RAD],
        limited=True,
        damping=1.0,
        frictionloss=0.4,
        armature=0.05,
    )
    box(door, (0, half, 0), (0.02, half, tall), shapes.STEEL, mass=4.0)
    handle = 2 * half - 0.06
    capsule(door, (-0.075, handle, -0.33), (-0.075, handle, 0.10), 0.013, shapes.CHARCOAL, mass=0.2)
    for z in (-0.32, 0.09):
        capsule(door, (-0.02, handle, z), (-0.075, handle, z), 0.010, shapes.CHARCOAL, mass=0.05)


def _four_legged(body, half, height, thickness, colour) -> None:
    """A rectangular top on four legs; `half` holds its half depth (x) and half width (y)."""
    box(body, (0, 0, height - thickness / 2), (*half, thickness / 2), colour)
    leg, under = 0.025, height - thickness
    for x, y in np.array([(-1, -1), (-1, 1), (1, -1), (1, 1)]) * (np.array(half) - 0.04):
        box(body, (x, y, under / 2), (leg, leg, under / 2), colour)
