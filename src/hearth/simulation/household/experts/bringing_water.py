"""Bringing water: open the refrigerator, carry two bottles to the coffee table, close it."""

from __future__ import annotations

import numpy as np

from hearth.simulation.household.experts import skills
from hearth.simulation.household.experts.expert import Actions, Expert
from hearth.simulation.household.experts.geometry import hand_rotation, planar, standing_pose
from hearth.simulation.household.furniture import COFFEE_TABLE_HEIGHT_M

_SIDE = "right"
# The left bottle first; it goes to the farther place, so that the second need not pass it.
_BOTTLES = ("bottle_1", "bottle_2")
_PLACES = ((-0.13, -0.10), (-0.13, -0.32))
_BOTTLE_PITCH = np.deg2rad(12)
_BOTTLE_GRASP = np.array([0.0, 0.0, 0.092])
_AT_BOTTLE, _AT_TABLE = (0.58, -0.28), (0.60, -0.12)
_HOVER_M, _LIFT_M, _WITHDRAW_M = 0.24, 0.04, 0.54
# In the door's frame: its handle, and a point before its outer face near the free edge [m].
_HANDLE = np.array([-0.075, 0.54, -0.11])
_OUTSIDE = np.array([-0.05, 0.44, -0.11])
# Lower than standing, so that a bottle stays upright in the hand above the low table.
_TABLE_TRUNK = np.array([1.25, -2.10, -1.20, 0.0])
_AT_HANDLE = (0.60, -0.18)
_OPEN_RAD, _SHUT_RAD = 1.2, 0.04
_BACK_OFF_M = -0.30
# The hand leads the door by this angle [rad].
_LEAD_RAD = 0.30
_AT_PUSH = (0.56, -0.20)


class BringingWater(Expert):
    """Stages: 0 open the door, 1 fetch a bottle, 2 put it down, 3 and 4 the other, 5 close."""

    task = "bringing_water"

    def plan(self) -> Actions:
        for index, name in enumerate(_BOTTLES):
            while not self._on_table(name):
                self.stage = 0
                while self._door_angle() < _OPEN_RAD - 0.25:
                    yield from self._open()
                self.stage = 1 + 2 * index
                yield from self._fetch(name)
                if skills.holds(self, _SIDE, self._grasp(name)):
                    self.stage = 2 + 2 * index
                    yield from self._bring(name, index)
                elif self._door_angle() < _OPEN_RAD - 0.25:
                    yield from self._leave_door()
        self.stage = 5
        yield from self._close()

    def _open(self) -> Actions:
        """Take the handle and pull the door along its arc, backing off a little."""
        rotation = hand_rotation(0.0, 0.0)
        start = standing_pose(self._on_door(_HANDLE), 0.0, *_AT_HANDLE)
        self.intent.base_goal = start
        yield from skills.pick(
            self, _SIDE, lambda: self._on_door(_HANDLE), rotation, hover=0.10, lift=0.0
        )
        self.precise = True
        skills.aim(
            self,
            _SIDE,
            lambda: self._on_door(_HANDLE, min(self._door_angle() + _LEAD_RAD, _OPEN_RAD + 0.1)),
            rotation,
            lead=0.045,
            orientation_cost=(1.0, 1.0, 0.2),
        )
        for _ in range(90):
            share = np.clip(self._door_angle() / _OPEN_RAD, 0.0, 1.0)
            self.intent.base_goal = start + share * np.array([-0.16, 0.02, 0.0])
            yield self.command()
            if self._door_angle() > _OPEN_RAD:
                break
        yield from skills.release(self, _SIDE)
        yield from self._leave_door()

    def _leave_door(self) -> Actions:
        """Back off until the hand is past the door's free edge, then bring it to this side."""
        self.intent.base_goal = self.base_pose() + np.array([_BACK_OFF_M, 0.0, 0.0])
        yield from skills.shift(self, _SIDE, np.array([_BACK_OFF_M, 0.0, 0.0]), limit=30)
        self.precise = False
        skills.go_home(self, _SIDE)
        edge = self._on_door(_HANDLE)
        yield from self.move(lambda: self._hand()[1] > edge[1] + 0.26, 50)

    def _fetch(self, name: str) -> Actions:
        """Reach straight into the open refrigerator, take the bottle, draw it out."""
        self.intent.trunk = self.robot.home.trunk
        rotation = hand_rotation(0.0, _BOTTLE_PITCH)
        self.intent.base_goal = standing_pose(self._grasp(name), 0.0, *_AT_BOTTLE)
        yield from skills.pick(
            self, _SIDE, lambda: self._grasp(name), rotation, hover=_HOVER_M, lift=_LIFT_M
        )
        self.precise = True
        self.intent.base_goal = self.base_pose() + np.array([1.4 * _BACK_OFF_M, 0.0, 0.0])
        yield from skills.shift(self, _SIDE, np.array([-_WITHDRAW_M, 0.0, 0.02]), limit=40)
        self.precise = False

    def _bring(self, name: str, index: int) -> Actions:
        """Carry the bottle upright to the coffee table and set it down."""
        self.intent.trunk = _TABLE_TRUNK
        table = self.position("coffee_table")
        place = table + np.array([*_PLACES[index], COFFEE_TABLE_HEIGHT_M + 0.004]) + _BOTTLE_GRASP
        self.intent.base_goal = standing_pose(place, 0.0, *_AT_TABLE)
        rotation = hand_rotation(0.0, _BOTTLE_PITCH)
        yield from skills.put(self, _SIDE, place, rotation, above=0.10)

    def _close(self) -> Actions:
        """Reach around the door's free edge and push its outer face along the arc."""
        self.intent.trunk = self.robot.home.trunk
        rotation = hand_rotation(0.0, 0.0)
        angle = self._door_angle()
        outward = 0.16 * planar(angle) @ np.array([-1.0, 0.0, 0.0])
        before = self._on_door(_OUTSIDE, angle) + outward
        # Drive around the free edge: on the near side the hand would push the door open wider.
        goal = standing_pose(before, 0.0, *_AT_PUSH)
        self.intent.base_goal = goal + np.array([1.3 * _BACK_OFF_M, 0.0, 0.0])
        skills.go_home(self, _SIDE)
        self.intent.grippers[_SIDE] = -1.0
        yield from self.move(lambda: abs(self.base_pose()[1] - goal[1]) < 0.10, 120)
        self.intent.base_goal = goal
        skills.aim(self, _SIDE, lambda: before, rotation)
        yield from skills.arrive(self, _SIDE, hand_tolerance=0.05)
        self.precise = True
        skills.aim(
            self,
            _SIDE,
            lambda: self._on_door(_OUTSIDE, self._door_angle() - _LEAD_RAD),
            rotation,
            lead=0.045,
            orientation_cost=(1.0, 1.0, 0.4),
        )
        for _ in range(150):
            target = self._on_door(_OUTSIDE, self._door_angle() - 0.1)
            self.intent.base_goal = standing_pose(target, 0.0, *_AT_PUSH)
            yield self.command()
            if self._door_angle() < _SHUT_RAD:
                break
        self.precise = False

    def _hand(self) -> np.ndarray:
        return self.robot.hand_pose(self.scene.data, _SIDE)[0]

    def _door_angle(self) -> float:
        """How far the door is open [rad]."""
        return float(self.scene.data.joint("fridge_hinge").qpos[0])

    def _on_door(self, point: np.ndarray, angle: float | None = None) -> np.ndarray:
        """World position [m] of a point of the door, now or at another opening angle [rad]."""
        if angle is None:
            angle = self._door_angle()
        turn = planar(angle - self._door_angle()) @ self.rotation("fridge_door")
        return self.position("fridge_door") + turn @ point

    def _grasp(self, name: str) -> np.ndarray:
        return self.position(name) + self.rotation(name) @ _BOTTLE_GRASP

    def _on_table(self, name: str) -> bool:
        offset = self.position(name) - self.position("coffee_table")
        return bool(
            np.abs(offset[:2]).max() < 0.45 and abs(offset[2] - COFFEE_TABLE_HEIGHT_M) < 0.06
        )
