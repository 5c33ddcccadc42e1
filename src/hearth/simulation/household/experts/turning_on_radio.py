"""Turning on the radio: stand before it, bring the right hand above its button, press."""

from __future__ import annotations

import numpy as np

from hearth.simulation.household.experts import skills
from hearth.simulation.household.experts.expert import Actions, Expert
from hearth.simulation.household.experts.geometry import hand_rotation, standing_pose

_SIDE = "right"
_AHEAD_M, _LEFT_M = 0.69, -0.17
_PITCH = np.deg2rad(38)
_ABOVE_M = 0.075
_PRESS_DEPTH_M = 0.03
_HOLD_STEPS = 5
# The tips of the closed fingers lie this far beyond the hand's frame.
_TIP_M = 0.02


class TurningOnRadio(Expert):
    """Stages: 0 approach, 1 press, 2 withdraw."""

    task = "turning_on_radio"
    base_noise = 4.0

    def plan(self) -> Actions:
        yaw = 0.0
        rotation = hand_rotation(yaw, _PITCH)
        tip = rotation @ np.array([_TIP_M, 0.0, 0.0])
        self.intent.grippers[_SIDE] = -1.0
        self.intent.base_goal = standing_pose(self._button(), yaw, _AHEAD_M, _LEFT_M)
        while True:
            self.stage, self.precise = 0, False
            skills.aim(self, _SIDE, lambda: self._above() - tip, rotation)
            yield from skills.arrive(self, _SIDE, hand_tolerance=0.02)
            self.stage, self.precise = 1, True
            skills.aim(
                self,
                _SIDE,
                lambda: self._button() - _PRESS_DEPTH_M * skills.UP - tip,
                rotation,
                lead=0.02,
            )
            yield from self.move(self._pressed, 25)
            yield from self.hold(_HOLD_STEPS)
            self.stage = 2
            skills.aim(self, _SIDE, lambda: self._button() + _ABOVE_M * skills.UP - tip, rotation)
            yield from skills.arrive(self, _SIDE, hand_tolerance=0.03, limit=15)

    def _button(self) -> np.ndarray:
        """Centre of the button's upper face at rest [m]."""
        travel = float(self.scene.data.joint("radio_button").qpos[0])
        return self.position("radio_button") + (0.018 - travel) * self.rotation("radio")[:, 2]

    def _above(self) -> np.ndarray:
        """The point to go to before pressing: while beside the radio it lies higher and nearer.

        So the hand rises before it goes forward and never pushes the radio.
        """
        hand, _ = self.robot.hand_pose(self.scene.data, _SIDE)
        button = self._button()
        beside = float(np.clip((np.hypot(*(hand - button)[:2]) - 0.06) / 0.12, 0.0, 1.0))
        return button + np.array([-0.12 * beside, 0.0, _ABOVE_M + 0.14 * beside])

    def _pressed(self) -> bool:
        return float(self.scene.data.joint("radio_button").qpos[0]) < -0.0105
