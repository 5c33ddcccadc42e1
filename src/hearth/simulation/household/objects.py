"""Things that move. Every builder fills a free body whose origin is at the middle of its base."""

from __future__ import annotations

import mujoco

from hearth.simulation.household import shapes
from hearth.simulation.household.shapes import box, capsule, cylinder, trim

BUTTON_TRAVEL_M = 0.012
RADIO_HEIGHT_M = 0.13
RADIO_HALF_DEPTH_M = 0.085
CAN_RADIUS_M = 0.033
CAN_HEIGHT_M = 0.122
BOTTLE_RADIUS_M = 0.032
BOTTLE_HEIGHT_M = 0.23
ASHCAN_HALF_WIDTH_M = 0.17
ASHCAN_HEIGHT_M = 0.35
SHEET_HALF_SIZE_M = (0.15, 0.010, 0.22)
SHEET_SPACING_M = 0.15
TOTE_HALF_SIZE_M = (0.16, 0.125, 0.08)
TOTE_DIVIDER_THICKNESS_M = 0.032
BOOK_HALF_SIZE_M = (0.075, 0.024, 0.105)
SANDAL_HALF_SIZE_M = (0.125, 0.0375)
SANDAL_SOLE_M = 0.036
SANDAL_STRAP_HEIGHT_M = 0.066

# Round things need rolling friction, or they never come to rest on a floor.
_ROUND = {"condim": 6, "friction": [1.0, 0.01, 0.002]}


def radio(body: mujoco.MjsBody) -> None:
    """A table radio, 0.13 m high, with a round push button in the middle of its top.

    Low and heavy enough that a press does not tip it. The button slides down against a spring;
    :class:`toggles.Toggle` reads its travel.
    """
    top, deep = RADIO_HEIGHT_M, RADIO_HALF_DEPTH_M
    front = -deep - 0.001
    box(body, (0, 0, top / 2), (deep, 0.15, top / 2), (0.72, 0.42, 0.26), mass=3.0)
    trim(box(body, (front, 0, top / 2), (0.004, 0.14, top / 2 - 0.012), (0.93, 0.86, 0.72)))
    for y in (-0.085, 0.085):
        at = (front - 0.004, y, top / 2)
        trim(cylinder(body, at, 0.042, 0.004, shapes.CHARCOAL, quat=_FACING_FRONT))
    light = box(body, (front - 0.004, 0, 0.05), (0.005, 0.012, 0.012), (0.30, 0.10, 0.10))
    trim(light).name = f"{body.name}_light"
    trim(capsule(body, (0.06, 0.13, top), (0.07, 0.20, top + 0.2), 0.004, shapes.STEEL))
    button = body.add_body(name=f"{body.name}_button", pos=[0, 0, top])
    button.add_joint(
        name=f"{body.name}_button",
        type=mujoco.mjtJoint.mjJNT_SLIDE,
        axis=[0, 0, 1],
        range=[-BUTTON_TRAVEL_M, 0.0],
        limited=True,
        stiffness=250.0,
        springref=0.004,
        damping=4.0,
        armature=0.02,
    )
    cylinder(button, (0, 0, 0.008), 0.032, 0.010, shapes.RED, mass=0.02)


def can(body: mujoco.MjsBody) -> None:
    """A soda can, 66 mm across and 122 mm high."""
    half = CAN_HEIGHT_M / 2
    cylinder(body, (0, 0, half), CAN_RADIUS_M, half, shapes.RED, mass=0.06, **_ROUND)
    trim(cylinder(body, (0, 0, 2 * half), CAN_RADIUS_M - 0.005, 0.003, shapes.STEEL))


def ashcan(body: mujoco.MjsBody) -> None:
    """An open-topped bin, 0.34 m wide and 0.35 m high."""
    wide, tall, thick = ASHCAN_HALF_WIDTH_M, ASHCAN_HEIGHT_M / 2, 0.008
    box(body, (0, 0, 0.01), (wide, wide, 0.01), shapes.TEAL, mass=2.0)
    for sign in (-1, 1):
        at = sign * (wide - thick)
        box(body, (at, 0, tall), (thick, wide, tall), shapes.TEAL, mass=0.3)
        box(body, (0, at, tall), (wide, thick, tall), shapes.TEAL, mass=0.3)
        rim = sign * wide
        trim(box(body, (rim, 0, 2 * tall - 0.015), (0.006, wide + 0.006, 0.015), shapes.CHARCOAL))
        trim(box(body, (0, rim, 2 * tall - 0.015), (wide + 0.006, 0.006, 0.015), shapes.CHARCOAL))


def bottle(body: mujoco.MjsBody) -> None:
    """A water bottle, 64 mm across and 0.23 m high, with a narrow neck."""
    half = 0.085
    cylinder(body, (0, 0, half), BOTTLE_RADIUS_M, half, (0.45, 0.68, 0.88), mass=0.20, **_ROUND)
    cylinder(body, (0, 0, 0.195), 0.014, 0.025, (0.45, 0.68, 0.88), mass=0.01)
    trim(cylinder(body, (0, 0, 0.22), 0.017, 0.011, shapes.NAVY))
    trim(cylinder(body, (0, 0, half), BOTTLE_RADIUS_M + 0.001, 0.028, shapes.TRIM))


def plywood(body: mujoco.MjsBody) -> None:
    """A sheet of plywood, 0.30 x 0.44 m and 20 mm thick, standing on its short edge along x."""
    wide, thick, tall = SHEET_HALF_SIZE_M
    box(body, (0, 0, tall), (wide, thick, tall), shapes.BIRCH, mass=0.25)
    trim(box(body, (0, 0, tall), (wide + 0.001, thick - 0.004, tall + 0.001), shapes.WALNUT))


def wood_rack(body: mujoco.MjsBody) -> None:
    """A low, heavy rack for three upright sheets, 0.15 m apart; the sheets stand on the floor."""
    long, tall, gap = 0.18, 0.04, 0.0125
    for index in (-1, 0, 1):
        for sign in (-1, 1):
            y = index * SHEET_SPACING_M + sign * (gap + 0.010)
            box(body, (0, y, tall), (long, 0.010, tall), shapes.CHARCOAL, mass=8.0)
    for x in (-long, long):
        box(body, (x, 0, 0.02), (0.012, SHEET_SPACING_M + 0.03, 0.02), shapes.CHARCOAL, mass=6.0)


def tote_blue(body: mujoco.MjsBody) -> None:
    """A blue storage box."""
    _tote(body, shapes.NAVY)


def tote_yellow(body: mujoco.MjsBody) -> None:
    """A yellow storage box."""
    _tote(body, shapes.MUSTARD)


def _tote(body: mujoco.MjsBody, colour: shapes.Colour) -> None:
    """An open box of 0.32 x 0.25 x 0.16 m; a divider along x, flush with the rim, is its handle.

    The flush divider lets one hand lift the box at its middle and another box stand on top.
    """
    long, wide, tall = TOTE_HALF_SIZE_M
    thick = 0.006
    box(body, (0, 0, 0.006), (long, wide, 0.006), colour, mass=0.25)
    box(body, (0, 0, tall), (long, TOTE_DIVIDER_THICKNESS_M / 2, tall), shapes.LINEN, mass=0.1)
    for sign in (-1, 1):
        box(body, (sign * (long - thick), 0, tall), (thick, wide, tall), colour, mass=0.05)
        box(body, (0, sign * (wide - thick), tall), (long, thick, tall), colour, mass=0.05)
    trim(box(body, (-long, 0, tall), (0.002, 0.05, 0.03), shapes.TRIM))


def book(body: mujoco.MjsBody) -> None:
    """A thick hardcover book standing upright, its spine towards -x; 48 mm thick along y."""
    deep, thick, tall = BOOK_HALF_SIZE_M
    box(body, (0, 0, tall), (deep, thick, tall), shapes.TERRACOTTA, mass=0.35)
    trim(box(body, (0.006, 0, tall), (deep - 0.004, thick - 0.005, tall + 0.001), shapes.LINEN))
    trim(box(body, (-deep, 0, 1.4 * tall), (0.001, thick - 0.006, 0.02), shapes.MUSTARD))


def sandal(body: mujoco.MjsBody) -> None:
    """A sandal, 0.25 m long and 75 mm wide, toes towards +x; a hand takes it across its width.

    The sole reaches above the middle of its height, where OmniGibson's adjacency rays leave.
    """
    long, wide = SANDAL_HALF_SIZE_M
    top, sole = SANDAL_STRAP_HEIGHT_M, SANDAL_SOLE_M
    box(body, (0, 0, sole / 2), (long, wide, sole / 2), (0.72, 0.46, 0.26), mass=0.15)
    for sign in (-1, 1):
        at = (0.01, sign * (wide - 0.004), (sole + top) / 2)
        box(body, at, (0.035, 0.004, (top - sole) / 2), shapes.NAVY, mass=0.02)
    box(body, (0.01, 0, top - 0.004), (0.035, wide, 0.004), shapes.NAVY, mass=0.02)
    trim(box(body, (0, 0, sole), (long - 0.01, wide - 0.008, 0.001), shapes.BIRCH))


_FACING_FRONT = [0.7071067811865476, 0.0, 0.7071067811865476, 0.0]
