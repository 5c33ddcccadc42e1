"""Moving boxes to storage: one box onto the garage floor, the other on top of it."""

from __future__ import annotations

import numpy as np

from hearth.simulation.household.experts import carrying, skills
from hearth.simulation.household.experts.expert import Actions, Expert
from hearth.simulation.household.experts.geometry import (
    hand_rotation,
    standing_pose,
    wrap_half_turn,
    yaw_of,
)
from hearth.simulation.household.objects import TOTE_HALF_SIZE_M

_SIDE = "right"
_BOXES = ("box_1", "box_2")
_PITCH = np.deg2rad(68)
_HEIGHT_M = 2 * TOTE_HALF_SIZE_M[2]
# The hand pinches the divider, deep enough that the box cannot swing, in the box's frame [m].
_GRIP = np.array([0.0, 0.0, 0.108])
_HELD_M = 0.05
_AT_BOX = (0.56, -0.32)
# Further to the side than need be, or a carried box would touch the knee.
_AT_PLACE = (0.57, -0.31)
# Of the lower box, in the world; how far from it that box may end.
_PLACE = np.array([0.62, 0.05, 0.0])
_PLACED_M = 0.15
# A lower box that moved farther than this while the upper one came is gone to anew [m].
_SHIFTED_M = 0.02


class MovingBoxesToStorage(Expert):
    """Stages: 0 take the first box, 1 set it down, 2 take the second, 3 stack it."""

    task = "moving_boxes_to_storage"
    base_noise = 3.0

    def plan(self) -> Actions:
        self.intent.trunk = skills.LOW_TRUNK
        self.intent.arms = dict(skills.LOW_ARMS)
        while True:
            index = int(self._stored())
            self.stage = 2 * index
            yield from self._take(_BOXES[index])
            self.stage = 2 * index + 1
            yield from self._bring(_BOXES[index])

    def _take(self, name: str) -> Actions:
        """Stand before the box, pinch its divider, lift."""
        self.intent.base_goal = standing_pose(self._grip(name), 0.0, *_AT_BOX)
        yield from carrying.take(
            self, _SIDE, lambda: self._grip(name), lambda: self._hand_along(name)
        )

    def _bring(self, name: str) -> Actions:
        """Carry the box into the garage: the first onto the floor, the second onto the first."""

        def box() -> np.ndarray:
            return self.position(name)

        place, rotation, held = _PLACE, np.eye(3), True
        aside = np.inf
        while held and aside > _SHIFTED_M:  # the robot may have pushed the lower box on its way
            place, rotation = self._place(name)
            self.intent.base_goal = standing_pose(place, 0.0, *_AT_PLACE)
            held = yield from carrying.carry(
                self,
                _SIDE,
                box,
                place + carrying.HOVER_M * skills.UP,
                rotation,
                lambda: skills.holds(self, _SIDE, self._grip(name), _HELD_M),
                float(place[2]) + 0.03,
            )
            aside = float(np.linalg.norm(self._place(name)[0] - place))
        if held:
            yield from carrying.set_down(self, _SIDE, box, place, rotation, 0.11 * skills.UP)

    def _place(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Where the box belongs ``[3]`` [m] and how the hand is turned there ``[3, 3]``."""
        if name == _BOXES[0]:
            return _PLACE, hand_rotation(0.0, _PITCH)
        return self.position(_BOXES[0]) + _HEIGHT_M * skills.UP, self._hand_along(_BOXES[0])

    def _stored(self) -> bool:
        """Whether the first box stands in the garage."""
        offset = self.position(_BOXES[0]) - _PLACE
        return bool(np.abs(offset[:2]).max() < _PLACED_M and offset[2] < 0.02)

    def _grip(self, name: str) -> np.ndarray:
        return self.position(name) + self.rotation(name) @ _GRIP

    def _hand_along(self, name: str) -> np.ndarray:
        """Orientation of the hand on a box's divider ``[3, 3]``."""
        return hand_rotation(wrap_half_turn(yaw_of(self.rotation(name))), _PITCH)
