"""Primitive geoms in metres, and the colours of the house."""

from __future__ import annotations

from collections.abc import Sequence

import mujoco

Colour = tuple[float, float, float]
Vector = Sequence[float]

WALL: Colour = (0.93, 0.90, 0.84)
TRIM: Colour = (0.98, 0.97, 0.95)
OAK: Colour = (0.86, 0.71, 0.52)
PARQUET: Colour = (0.64, 0.50, 0.38)
WALNUT: Colour = (0.50, 0.34, 0.23)
BIRCH: Colour = (0.92, 0.80, 0.58)
TILE: Colour = (0.80, 0.82, 0.82)
CONCRETE: Colour = (0.62, 0.62, 0.61)
GRASS: Colour = (0.46, 0.62, 0.36)
STEEL: Colour = (0.80, 0.83, 0.86)
CHARCOAL: Colour = (0.22, 0.24, 0.27)
LINEN: Colour = (0.95, 0.94, 0.91)
DENIM: Colour = (0.50, 0.57, 0.67)
NAVY: Colour = (0.25, 0.36, 0.56)
TEAL: Colour = (0.24, 0.52, 0.54)
RED: Colour = (0.82, 0.20, 0.18)
MUSTARD: Colour = (0.88, 0.68, 0.25)
LEAF: Colour = (0.30, 0.52, 0.30)
TERRACOTTA: Colour = (0.76, 0.45, 0.33)
SKY: Colour = (0.72, 0.86, 0.96)


def box(
    body: mujoco.MjsBody,
    centre: Vector,
    half_size: Vector,
    colour: Colour,
    mass: float = 1.0,
    **options,
) -> mujoco.MjsGeom:
    """A solid box; `options` are MjSpec geom attributes."""
    return _geom(body, mujoco.mjtGeom.mjGEOM_BOX, centre, list(half_size), colour, mass, **options)


def cylinder(
    body: mujoco.MjsBody,
    centre: Vector,
    radius: float,
    half_height: float,
    colour: Colour,
    mass: float = 1.0,
    **options,
) -> mujoco.MjsGeom:
    """A solid upright cylinder."""
    size = [radius, half_height, 0]
    return _geom(body, mujoco.mjtGeom.mjGEOM_CYLINDER, centre, size, colour, mass, **options)


def ellipsoid(
    body: mujoco.MjsBody, centre: Vector, radii: Vector, colour: Colour, **options
) -> mujoco.MjsGeom:
    """A solid ellipsoid."""
    return _geom(body, mujoco.mjtGeom.mjGEOM_ELLIPSOID, centre, list(radii), colour, 1.0, **options)


def capsule(
    body: mujoco.MjsBody,
    start: Vector,
    end: Vector,
    radius: float,
    colour: Colour,
    mass: float = 1.0,
    **options,
) -> mujoco.MjsGeom:
    """A solid capsule between two points."""
    return body.add_geom(
        type=mujoco.mjtGeom.mjGEOM_CAPSULE,
        fromto=[*start, *end],
        size=[radius, 0, 0],
        rgba=[*colour, 1.0],
        mass=mass,
        **options,
    )


def trim(geom: mujoco.MjsGeom) -> mujoco.MjsGeom:
    """Make a geom visible only: it touches nothing and weighs nothing."""
    geom.contype, geom.conaffinity, geom.mass = 0, 0, 0.0
    return geom


def _geom(body, kind, centre, size, colour, mass, **options) -> mujoco.MjsGeom:
    return body.add_geom(
        type=kind, pos=list(centre), size=size, rgba=[*colour, 1.0], mass=mass, **options
    )
