"""Bringing in wood: take the sheets from their rack, leftmost first, and lay them down inside."""

from __future__ import annotations

import numpy as np

from hearth.simulation.household.experts import skills
from hearth.simulation.household.experts.expert import Actions, Expert
from hearth.simulation.household.experts.geometry import hand_rotation, planar, standing_pose
from hearth.simulation.household.objects import SHEET_HALF_SIZE_M

_SIDE = "left"
_SHEETS = ("plywood_1", "plywood_2", "plywood_3")
_PITCH = np.deg2rad(60)
_TALL_M = 2 * SHEET_HALF_SIZE_M[2]
# Where a sheet is held: a little behind its middle and below its upper edge.
_GRIP = np.array([-0.03, 0.0, _TALL_M - 0.045])
_HOVER_M = 0.13
_AT_RACK = (0.60, 0.26)
_AT_SLOT = (0.60, 0.26)
_LIFT_M = 0.20
_RACK_HEIGHT_M = 0.13
# Indoors the robot faces +y; each sheet is leant to the right, where it falls, away from the
# slot of the next one.
_INDOOR_YAW = np.deg2rad(90)
_SLOTS = ((0.30, 1.00), (-0.05, 1.00), (-0.40, 1.00))
_LEAN = 0.45
_EDGE_Y_M = 0.50


class BringingInWood(Expert):
    """Stages: 0 take a sheet, 1 carry it inside and lay it down; the same for each."""

    task = "bringing_in_wood"

    def plan(self) -> Actions:
        self.intent.trunk = skills.LOW_TRUNK
        self.intent.arms = {
            "left": skills.LOW_ARMS["right"] * np.array([1, -1, 1, 1, 1, 1, 1]),
            "right": skills.LOW_ARMS["left"] * np.array([1, -1, 1, 1, 1, 1, 1]),
        }
        while (name := self._next_sheet()) is not None:
            done = sum(self._indoors(sheet) for sheet in _SHEETS)
            self.stage = 2 * done
            yield from self._take(name)
            self.stage = 2 * done + 1
            yield from self._bring(name, np.array([*_SLOTS[done], 0.0]))

    def _take(self, name: str) -> Actions:
        """Stand before the sheet, lower the open hand over its upper edge, close."""
        rotation = hand_rotation(0.0, _PITCH)
        self.precise = False
        self.intent.base_pace = 1.0
        self.intent.grippers[_SIDE] = 1.0
        self.intent.base_goal = standing_pose(self._grip(name), 0.0, *_AT_RACK)
        skills.aim(self, _SIDE, lambda: self._grip(name) + _HOVER_M * skills.UP, rotation)
        yield from skills.arrive(self, _SIDE, hand_tolerance=0.03)
        self.precise = True
        skills.aim(self, _SIDE, lambda: self._grip(name), rotation, lead=0.035)
        yield from skills.arrive(self, _SIDE, hand_tolerance=0.018, limit=40)
        yield from skills.close_gripper(self, _SIDE)

    def _bring(self, name: str, slot: np.ndarray) -> Actions:
        """Pull the sheet out of the rack, carry it to its slot, lean it to the right, let go."""
        self.precise = False
        start = self._grip(name)
        out = start + _LIFT_M * skills.UP
        self.intent.base_goal = self.base_pose()
        skills.aim(self, _SIDE, lambda: out, hand_rotation(0.0, _PITCH), lead=0.06)
        yield from self.move(lambda: self.position(name)[2] > _RACK_HEIGHT_M, 40)
        if not self._held(name):
            return
        above = slot + (_GRIP[2] + 0.08) * skills.UP
        self.intent.base_goal = standing_pose(slot, _INDOOR_YAW, *_AT_SLOT)
        skills.aim(self, _SIDE, lambda: above, hand_rotation(_INDOOR_YAW, _PITCH))
        for _ in range(160):
            yield self.command()
            if not self._held(name):
                return
            if self.hand_error(_SIDE) < 0.06 and self.base_error() < 0.08:
                break
        self.precise = True
        leaning = _leaning(_INDOOR_YAW, _LEAN) @ hand_rotation(_INDOOR_YAW, _PITCH)
        down = slot + (_GRIP[2] * np.cos(_LEAN) - 0.01) * skills.UP
        skills.aim(self, _SIDE, lambda: down, leaning, lead=0.05)
        yield from skills.arrive(self, _SIDE, hand_tolerance=0.025, limit=30)
        yield from skills.release(self, _SIDE)
        back = down + leaning @ np.array([-0.16, 0.0, 0.0])
        skills.aim(self, _SIDE, lambda: back, leaning, lead=0.06)
        yield from skills.arrive(self, _SIDE, hand_tolerance=0.05, limit=20)

    def _held(self, name: str) -> bool:
        return skills.holds(self, _SIDE, self._grip(name), 0.09)

    def _next_sheet(self) -> str | None:
        """The leftmost sheet that is still outdoors."""
        left = [name for name in _SHEETS if not self._indoors(name)]
        return max(left, key=lambda name: self.position(name)[1]) if left else None

    def _grip(self, name: str) -> np.ndarray:
        """Where to hold a sheet [m]."""
        return self.position(name) + self.rotation(name) @ _GRIP

    def _indoors(self, name: str) -> bool:
        middle = self.position(name) + self.rotation(name)[:, 2] * _TALL_M / 2
        return bool(middle[1] > _EDGE_Y_M + 0.03 and not self._held(name))


def _leaning(yaw: float, lean: float) -> np.ndarray:
    """World rotation ``[3, 3]`` that leans what faces ``yaw`` to its right by ``lean`` [rad]."""
    cosine, sine = np.cos(lean), np.sin(lean)
    about_x = np.array([[1.0, 0.0, 0.0], [0.0, cosine, -sine], [0.0, sine, cosine]])
    return planar(yaw) @ about_x @ planar(-yaw)
