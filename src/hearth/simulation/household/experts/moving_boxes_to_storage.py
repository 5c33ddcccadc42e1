"""Moving boxes to storage: one box onto the garage floor, the other on top of it."""

from __future__ import annotations

import numpy as np

from hearth.simulation.household.experts import skills
from hearth.simulation.household.experts.expert import Actions, Expert
from hearth.simulation.household.experts.geometry import hand_rotation, standing_pose, yaw_of

_SIDE = "right"
_PITCH = np.deg2rad(65)
_HEIGHT_M = 0.16
# The hand pinches the divider just below the rim, in the box's frame [m].
_GRASP = np.array([0.0, 0.0, 0.135])
_AT_BOX = (0.56, -0.32)
_PLACE = np.array([0.60, 0.18, 0.004])


class MovingBoxesToStorage(Expert):
    """Stages: 0 fetch the first box, 1 set it down, 2 fetch the second, 3 stack it."""

    task = "moving_boxes_to_storage"

    def plan(self) -> Actions:
        self.intent.trunk = skills.LOW_TRUNK
        self.intent.arms = dict(skills.LOW_ARMS)
        for index in (1, 2):
            name = f"box_{index}"
            self.stage = 2 * (index - 1)
            rotation = hand_rotation(yaw_of(self.rotation(name)), _PITCH)
            self.intent.base_goal = standing_pose(self._grasp(name), 0.0, *_AT_BOX)
            yield from skills.pick(self, _SIDE, lambda name=name: self._grasp(name), rotation)
            self.stage += 1
            place, yaw = _PLACE + _GRASP, 0.0
            if index == 2:
                place = self._grasp("box_1") + (_HEIGHT_M + 0.004) * skills.UP
                yaw = yaw_of(self.rotation("box_1"))
            self.intent.base_goal = standing_pose(place, 0.0, *_AT_BOX)
            yield from skills.put(self, _SIDE, place, hand_rotation(yaw, _PITCH))

    def _grasp(self, name: str) -> np.ndarray:
        return self.position(name) + self.rotation(name) @ _GRASP
