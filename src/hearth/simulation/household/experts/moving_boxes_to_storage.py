"""Moving boxes to storage: one box onto the garage floor, the other on top of it."""

from __future__ import annotations

import numpy as np

from hearth.simulation.household.experts import skills
from hearth.simulation.household.experts.expert import Actions, Expert
from hearth.simulation.household.experts.geometry import hand_rotation, standing_pose, yaw_of
from hearth.simulation.household.objects import TOTE_HALF_SIZE_M

_SIDE = "right"
_BOXES = ("box_1", "box_2")
_PITCH = np.deg2rad(68)
_HEIGHT_M = 2 * TOTE_HALF_SIZE_M[2]
# The hand pinches the divider, deep enough that the box cannot swing, in the box's frame [m].
_GRASP = np.array([0.0, 0.0, 0.120])
_HELD_M = 0.05
_AT_BOX = (0.56, -0.32)
_PLACE = np.array([0.60, 0.18, 0.0])
_PUT_CLEARANCE_M = 0.004


class MovingBoxesToStorage(Expert):
    """Stages: 0 fetch the first box, 1 set it down, 2 fetch the second, 3 stack it."""

    task = "moving_boxes_to_storage"

    def plan(self) -> Actions:
        self.intent.trunk = skills.LOW_TRUNK
        self.intent.arms = dict(skills.LOW_ARMS)
        for index, name in enumerate(_BOXES):
            while not self._in_place(index):
                self.stage = 2 * index
                yield from self._fetch(name)
                if not skills.holds(self, _SIDE, self._grasp(name), _HELD_M):
                    continue
                self.stage = 2 * index + 1
                place, yaw = self._destination(index)
                self.intent.base_goal = standing_pose(place, 0.0, *_AT_BOX)
                yield from skills.put(
                    self, _SIDE, place + _GRASP, hand_rotation(yaw, _PITCH), above=0.10
                )

    def _fetch(self, name: str) -> Actions:
        rotation = hand_rotation(yaw_of(self.rotation(name)), _PITCH)
        self.intent.base_goal = standing_pose(self._grasp(name), 0.0, *_AT_BOX)
        yield from skills.pick(self, _SIDE, lambda: self._grasp(name), rotation, lift=0.12)

    def _destination(self, index: int) -> tuple[np.ndarray, float]:
        """Where a box's base goes and its heading [rad]: the garage floor, or the first box."""
        clearance = _PUT_CLEARANCE_M * skills.UP
        if index == 0:
            return _PLACE + clearance, 0.0
        first = self.position(_BOXES[0])
        return first + _HEIGHT_M * skills.UP + clearance, yaw_of(self.rotation(_BOXES[0]))

    def _in_place(self, index: int) -> bool:
        place, _ = self._destination(index)
        offset = self.position(_BOXES[index]) - place
        tolerance = 0.15 if index == 0 else 0.08
        return bool(np.abs(offset[:2]).max() < tolerance and abs(offset[2]) < 0.02)

    def _grasp(self, name: str) -> np.ndarray:
        return self.position(name) + self.rotation(name) @ _GRASP
