"""Picking up trash: carry three cans from the floor to the ashcan, leftmost first."""

from __future__ import annotations

import numpy as np

from hearth.simulation.household.experts import skills
from hearth.simulation.household.experts.expert import Actions, Expert
from hearth.simulation.household.experts.geometry import hand_rotation, standing_pose

_SIDE = "right"
_CANS = ("can_1", "can_2", "can_3")
_HALF_HEIGHT_M = 0.061
_PITCH = np.deg2rad(60)
_AT_CAN = (0.56, -0.32)
_AT_BIN = (0.60, -0.32)
_BIN_YAW = -0.85
_HOVER_M = 0.13
_LIFT_M = 0.18
_CLEARANCE_M = 0.36
_DROP_HEIGHT_M = 0.55
_DROP_PITCH = np.deg2rad(25)


class PickingUpTrash(Expert):
    """Stages: 0 go to a can, 1 grasp it, 2 carry it to the bin and drop it; the same for each."""

    task = "picking_up_trash"
    base_noise = 4.0

    def plan(self) -> Actions:
        self.intent.trunk = skills.LOW_TRUNK
        self.intent.arms = dict(skills.LOW_ARMS)
        while (name := self._next_can()) is not None:
            done = sum(self._in_bin(can) for can in _CANS)
            self.stage = 2 * done
            yield from self._fetch(name)
            self.stage = 2 * done + 1
            yield from self._drop(name)

    def _fetch(self, name: str) -> Actions:
        """Stand behind the can, lower the open hand around it, close."""
        rotation = hand_rotation(0.0, _PITCH)
        back = rotation @ np.array([-_HOVER_M, 0.0, 0.0])
        self.precise = False
        self.intent.base_pace = 1.0
        self.intent.grippers[_SIDE] = 1.0
        self.intent.base_goal = standing_pose(self._can(name), 0.0, *_AT_CAN)
        skills.aim(
            self,
            _SIDE,
            lambda: self._can(name) + back + _CLEARANCE_M * self._near_bin() * skills.UP,
            lambda: hand_rotation(0.0, _PITCH + (_DROP_PITCH - _PITCH) * self._near_bin()),
        )
        yield from skills.arrive(self, _SIDE, hand_tolerance=0.05)
        self.precise = True
        skills.aim(self, _SIDE, lambda: self._can(name), rotation, lead=0.03)
        yield from skills.arrive(self, _SIDE, hand_tolerance=0.018, limit=40)
        yield from skills.close_gripper(self, _SIDE)
        start = self._hand()
        skills.aim(self, _SIDE, lambda: start + _LIFT_M * skills.UP, rotation, lead=0.05)
        yield from self.move(lambda: self._hand()[2] > start[2] + 0.7 * _LIFT_M, 15)

    def _drop(self, name: str) -> Actions:
        """Carry the can above the bin and let go."""
        bin_at = self.position("ashcan")
        rotation = hand_rotation(_BIN_YAW, _DROP_PITCH)
        self.precise = False
        self.intent.base_goal = standing_pose(bin_at, _BIN_YAW, *_AT_BIN)
        above = np.array([bin_at[0], bin_at[1], _DROP_HEIGHT_M])
        skills.aim(self, _SIDE, lambda: above, rotation)
        for _ in range(120):
            # Lift first: the can must clear the rim before the base swings it over the bin.
            self.intent.base_pace = float(np.clip((self._hand()[2] - 0.10) / 0.25, 0.1, 1.0))
            yield self.command()
            if not skills.holds(self, _SIDE, self._can(name), 0.09):
                return
            if self.hand_error(_SIDE) < 0.06 and self.base_error() < 0.10:
                break
        self.precise = True
        yield from skills.release(self, _SIDE)

    def _near_bin(self) -> float:
        """1 above the bin, where the hand must stay above the rim; 0 past it."""
        way = self._hand()[:2] - self.position("ashcan")[:2]
        return float(np.clip((0.40 - np.hypot(*way)) / 0.08, 0.0, 1.0))

    def _hand(self) -> np.ndarray:
        return self.robot.hand_pose(self.scene.data, _SIDE)[0]

    def _next_can(self) -> str | None:
        """The leftmost can that is not in the bin."""
        left = [name for name in _CANS if not self._in_bin(name)]
        return max(left, key=lambda name: self.position(name)[1]) if left else None

    def _can(self, name: str) -> np.ndarray:
        """Centre of a can [m]."""
        return self.position(name) + _HALF_HEIGHT_M * self.rotation(name)[:, 2]

    def _in_bin(self, name: str) -> bool:
        offset = self.rotation("ashcan").T @ (self._can(name) - self.position("ashcan"))
        return bool(np.abs(offset[:2]).max() < 0.16 and offset[2] < 0.36)
