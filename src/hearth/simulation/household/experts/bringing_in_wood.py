"""Bringing in wood: take the sheets from their rack, leftmost first, and lay them down inside."""

from __future__ import annotations

import numpy as np

from hearth.simulation.household.experts import skills
from hearth.simulation.household.experts.expert import Actions, Expert
from hearth.simulation.household.experts.geometry import hand_rotation, standing_pose
from hearth.simulation.household.objects import SHEET_HALF_SIZE_M

_SIDE = "left"
_SHEETS = ("plywood_1", "plywood_2", "plywood_3")
_PITCH = np.deg2rad(60)
_TALL_M = 2 * SHEET_HALF_SIZE_M[2]
# Where a sheet is held: a little behind its middle and below its upper edge.
_GRIP = np.array([-0.03, 0.0, _TALL_M - 0.055])
_HOVER_M = 0.13
_TRUNK = np.array([1.00, -1.70, -1.15, 0.0])
_ARM = np.array([-0.40, 0.15, 0.0, -1.20, 0.0, 0.0, 0.0])
_AT_RACK = (0.55, 0.26)
_AT_SLOT = (0.55, 0.26)
_LIFT_M = 0.20
_RACK_HEIGHT_M = 0.13
_CARRY_M = 0.16
# Indoors the robot faces +y; each sheet is tipped to the left, where it falls, away from the
# slot of the next one.
_INDOOR_YAW = np.deg2rad(90)
_SLOTS = ((-0.30, 1.00), (0.05, 1.00), (0.40, 1.00))
_TIP = 0.45
_EDGE_Y_M = 0.50


class BringingInWood(Expert):
    """Stages: 0 take a sheet, 1 carry it inside and lay it down; the same for each."""

    task = "bringing_in_wood"

    def plan(self) -> Actions:
        self.intent.trunk = _TRUNK
        self.intent.arms = {_SIDE: _ARM}
        while (name := self._next_sheet()) is not None:
            done = sum(self._indoors(sheet) for sheet in _SHEETS)
            self.stage = 2 * done
            yield from self._take(name)
            if not self._held(name):
                continue
            self.stage = 2 * done + 1
            yield from self._bring(name, np.array([*_SLOTS[done], 0.0]))

    def _take(self, name: str) -> Actions:
        """Stand before the sheet, lower the open hand over its upper edge, close."""
        rotation = hand_rotation(0.0, _PITCH)
        self.precise = False
        self.intent.base_pace = 1.0
        self.intent.grippers[_SIDE] = 1.0
        self.intent.base_goal = standing_pose(self._grip(name), 0.0, *_AT_RACK)
        skills.aim(self, _SIDE, lambda: self._edge(name) + _HOVER_M * skills.UP, rotation)
        yield from skills.arrive(self, _SIDE, base_tolerance=0.03, hand_tolerance=0.02)
        self.precise = True
        skills.aim(self, _SIDE, lambda: self._edge(name), rotation, lead=0.035)
        yield from skills.arrive(self, _SIDE, 0.03, hand_tolerance=0.012, limit=40)
        # From here on the hand must not follow the sheet that it moves itself.
        start = self._edge(name)
        skills.aim(self, _SIDE, lambda: start, rotation, lead=0.035)
        yield from skills.close_gripper(self, _SIDE)
        skills.aim(self, _SIDE, lambda: start + _LIFT_M * skills.UP, rotation, lead=0.03)
        yield from self.move(lambda: self.position(name)[2] > _RACK_HEIGHT_M, 40)

    def _bring(self, name: str, slot: np.ndarray) -> Actions:
        """Carry the sheet to its slot, stand it on the floor, tip it to the left, let go."""
        upright = hand_rotation(_INDOOR_YAW, _PITCH)
        self.precise = False
        above = slot + (_GRIP[2] + _CARRY_M) * skills.UP
        self.intent.base_goal = standing_pose(slot, _INDOOR_YAW, *_AT_SLOT)
        skills.aim(self, _SIDE, lambda: above, upright, lead=0.06)
        for _ in range(160):
            yield self.command()
            if not self._held(name):
                return
            if self.hand_error(_SIDE) < 0.06 and self.base_error() < 0.08:
                break
        self.precise = True
        standing = slot + (_GRIP[2] - 0.005) * skills.UP
        skills.aim(self, _SIDE, lambda: standing, upright, lead=0.04)
        yield from self.move(lambda: self._lowest(name) < 0.004, 40)
        # The sheet pivots about its lower edge: the fingers alone do not keep it from turning.
        tipped = slot + _GRIP[2] * np.array([-np.sin(_TIP), 0.0, np.cos(_TIP)])
        skills.aim(self, _SIDE, lambda: tipped, upright, lead=0.04)
        yield from skills.arrive(self, _SIDE, hand_tolerance=0.03, limit=20)
        yield from skills.release(self, _SIDE)
        back = tipped + upright @ np.array([-0.16, 0.0, 0.0])
        skills.aim(self, _SIDE, lambda: back, upright, lead=0.06)
        yield from skills.arrive(self, _SIDE, hand_tolerance=0.05, limit=20)

    def _lowest(self, name: str) -> float:
        """Height of a sheet's lowest corner [m]."""
        wide, _, tall = SHEET_HALF_SIZE_M
        rotation = self.rotation(name)
        middle = self.position(name) + rotation[:, 2] * tall
        return float(middle[2] - wide * abs(rotation[2, 0]) - tall * abs(rotation[2, 2]))

    def _held(self, name: str) -> bool:
        closed = self.intent.grippers[_SIDE] < 0.0
        return closed and skills.holds(self, _SIDE, self._grip(name), 0.09)

    def _next_sheet(self) -> str | None:
        """The leftmost sheet that is still outdoors."""
        left = [name for name in _SHEETS if not self._indoors(name)]
        return max(left, key=lambda name: self.position(name)[1]) if left else None

    def _edge(self, name: str) -> np.ndarray:
        """Where to hold a sheet if it stood upright: steadier than where it leans to [m]."""
        return self.position(name) + _GRIP

    def _grip(self, name: str) -> np.ndarray:
        """Where to hold a sheet [m]."""
        return self.position(name) + self.rotation(name) @ _GRIP

    def _indoors(self, name: str) -> bool:
        middle = self.position(name) + self.rotation(name)[:, 2] * _TALL_M / 2
        return bool(middle[1] > _EDGE_Y_M + 0.03 and not self._held(name))
