"""Planar poses and hand orientations used by the experts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hearth.simulation.household.control import HandTarget

Pose2 = np.ndarray


def planar(yaw: float) -> np.ndarray:
    """Rotation ``[3, 3]`` about the vertical [rad]."""
    cosine, sine = np.cos(yaw), np.sin(yaw)
    return np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])


def standing_pose(point: np.ndarray, yaw: float, ahead: float, left: float) -> Pose2:
    """Base pose ``[3]`` that sees ``point`` ``ahead`` in front and ``left`` to its left [m]."""
    offset = planar(yaw) @ np.array([ahead, left, 0.0])
    return np.array([point[0] - offset[0], point[1] - offset[1], yaw])


def hand_rotation(yaw: float, pitch: float, roll: float = 0.0) -> np.ndarray:
    """Hand orientation ``[3, 3]``: fingers along heading ``yaw``, tilted down by ``pitch`` [rad].

    ``roll`` turns the opening direction about the fingers; at 0 it is horizontal.
    """
    forward = np.array([np.cos(pitch), 0.0, -np.sin(pitch)])
    left = np.array([0.0, 1.0, 0.0])
    up = np.cross(forward, left)
    opening = np.cos(roll) * left + np.sin(roll) * up
    frame = np.stack([forward, opening, np.cross(forward, opening)], axis=1)
    return planar(yaw) @ frame


def blend_towards(pose: Pose2, goal: Pose2, distance: float) -> Pose2:
    """The goal itself near it, the present pose beyond ``distance`` [m], smooth between."""
    way = pose - goal
    way[2] = (way[2] + np.pi) % (2 * np.pi) - np.pi
    far = np.hypot(way[0], way[1]) + 0.5 * abs(way[2])
    weight = np.clip(2.0 * far / distance - 1.0, 0.0, 1.0)
    return goal + weight * way


def carried_along(target: HandTarget, goal: Pose2, pose: Pose2) -> HandTarget:
    """A target stated for a base at ``goal``, moved as if fixed to a base at ``pose``."""
    turn = planar(pose[2] - goal[2])
    offset = target.position - np.array([goal[0], goal[1], 0.0])
    return replace(
        target,
        position=np.array([pose[0], pose[1], 0.0]) + turn @ offset,
        rotation=turn @ target.rotation,
    )


def yaw_of(rotation: np.ndarray) -> float:
    """Heading [rad] of a frame's x axis."""
    return float(np.arctan2(rotation[1, 0], rotation[0, 0]))


def wrap_half_turn(angle: float) -> float:
    """An axis direction's angle [rad] in [-pi/2, pi/2)."""
    return (angle + np.pi / 2) % np.pi - np.pi / 2
