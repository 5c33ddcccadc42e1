"""Tidying the bedroom: the book from the bed to the nightstand, the sandals beside the bed."""

from __future__ import annotations

import numpy as np

from hearth.simulation.household.experts import carrying, skills
from hearth.simulation.household.experts.expert import Actions, Expert
from hearth.simulation.household.experts.geometry import (
    hand_rotation,
    standing_pose,
    wrap_half_turn,
)
from hearth.simulation.household.furniture import NIGHTSTAND_HEIGHT_M

_SIDE = "right"
# Knees nearly straight: the hand reaches down to the book instead of forward.
_TALL_TRUNK = np.array([0.30, -0.50, -0.30, 0.0])
_BOOK_PITCH = np.deg2rad(55)
# Where the hand holds the book, in its frame: high above its middle, or it would swing [m].
_BOOK_GRIP = np.array([-0.020, 0.0, 0.176])
_AT_BOOK = (0.50, -0.12)
# The base's foremost place before bed and nightstand.
_NEAREST_X_M = 0.34
# On top of the nightstand, in its frame.
_BOOK_PLACE = np.array([-0.06, 0.05, NIGHTSTAND_HEIGHT_M])
_AT_NIGHTSTAND = (0.48, -0.32)
# The carried book passes above the head of the bed.
_CARRY_HEIGHT_M = 0.78
# Cosine of the tilt beyond which the book has fallen over.
_UPRIGHT = 0.7
_SANDAL_PITCH = np.deg2rad(60)
_SANDAL_GRIP = np.array([0.005, 0.0, 0.034])
_AT_SANDAL = (0.56, -0.36)
_AT_PLACE = (0.56, -0.18)
# Above the grip before the hand is lowered, and how much higher it passes over what it holds [m].
_HOVER_M = 0.11
_PASSING_M = 0.10
# Places of the sandals' middles, from the corner of the bed at its head end [m].
_SANDAL_PLACES = {"sandal_1": (-0.22, 0.14), "sandal_2": (-0.22, 0.037)}
_BED_CORNER = (-0.70, -1.0, 0.0)
# How far beside its place a sandal may lie: the second must be close to the first [m].
_PLACED_ASIDE_M = {"sandal_1": 0.06, "sandal_2": 0.012}


class TidyingBedroom(Expert):
    """Stages: 0 grasp the book, 1 put it on the nightstand, 2 to 5 the same for each sandal."""

    task = "tidying_bedroom"

    def plan(self) -> Actions:
        while not self._book_placed():
            if self.rotation("book")[2, 2] < _UPRIGHT:
                return  # Lying flat, a book is wider than the hand opens.
            self.stage = 0
            yield from self._fetch_book()
            self.stage = 1
            yield from self._place_book()
        yield from self._withdraw()
        for index, name in enumerate(_SANDAL_PLACES):
            while not self._sandal_placed(name):
                self.stage = 2 + 2 * index
                yield from self._fetch_sandal(name)
                self.stage = 3 + 2 * index
                yield from self._place_sandal(name)

    def _fetch_book(self) -> Actions:
        """Stand before the book, take its upper end, lift it."""
        self.intent.trunk = _TALL_TRUNK
        goal = standing_pose(self.position("book"), 0.0, *_AT_BOOK)
        goal[0] = min(goal[0], _NEAREST_X_M)
        self.intent.base_goal = goal
        yield from self._take(self._book_grip, self._book_hand)

    def _place_book(self) -> Actions:
        """Carry the book over the head of the bed and put it down on the nightstand."""
        place = self.position("nightstand") + _BOOK_PLACE
        above = np.array([place[0], place[1], _CARRY_HEIGHT_M])
        rotation = hand_rotation(0.0, _BOOK_PITCH)
        self.precise = False
        self.intent.base_goal = standing_pose(place, 0.0, *_AT_NIGHTSTAND)
        carrying.aim_thing(self, _SIDE, self._book, lambda: above, rotation)
        for _ in range(150):
            # Lift first: the book must clear the head of the bed before the base carries it there.
            height = self._book()[2] - NIGHTSTAND_HEIGHT_M
            self.intent.base_pace = float(np.clip(height / 0.15, 0.1, 1.0))
            yield self.command()
            if not skills.holds(self, _SIDE, self._book_grip(), 0.06):
                return
            if self.base_error() < 0.04 and self.hand_error(_SIDE) < 0.04:
                break
        self.precise = True
        self.intent.base_pace = 1.0
        below = place - 0.02 * skills.UP
        carrying.aim_thing(self, _SIDE, self._book, lambda: below, rotation, lead=0.04)
        yield from self.move(lambda: self._book()[2] < place[2] + 0.01, 40)
        yield from skills.release(self, _SIDE)

    def _withdraw(self) -> Actions:
        """Back away from the nightstand before bending down."""
        rotation = hand_rotation(0.0, _BOOK_PITCH)
        yield from carrying.move_hand(self, _SIDE, rotation @ np.array([-0.12, 0.0, 0.0]))
        self.precise = False
        goal = standing_pose(self.position("sandal_1"), 0.0, *_AT_SANDAL)
        self.intent.base_goal = goal
        skills.go_home(self, _SIDE)
        yield from self.move(lambda: self.base_pose()[0] < 0.12, 60)

    def _fetch_sandal(self, name: str) -> Actions:
        """Stand behind the sandal, lower the open hand across its width, close, lift."""
        self.intent.trunk = skills.LOW_TRUNK
        self.intent.arms = dict(skills.LOW_ARMS)
        self.intent.base_goal = standing_pose(self._sandal_grip(name), 0.0, *_AT_SANDAL)
        yield from self._take(lambda: self._sandal_grip(name), lambda: self._sandal_hand(name))

    def _take(self, grip: carrying.Point, rotation: carrying.Point) -> Actions:
        """Drive to the base goal, lower the open hand around the grip from above, close, lift."""
        self.precise = False
        self.intent.grippers[_SIDE] = 1.0
        skills.aim(self, _SIDE, lambda: self._over(grip()), rotation)
        yield from skills.arrive(self, _SIDE, base_tolerance=0.07, hand_tolerance=0.04)
        self.precise = True
        skills.aim(
            self,
            _SIDE,
            lambda: carrying.above(grip(), self._hand(), _HOVER_M),
            rotation,
            lead=0.04,
        )
        yield from self.move(lambda: self._off(grip()) < 0.012, 50)
        yield from skills.close_gripper(self, _SIDE)
        yield from carrying.move_hand(self, _SIDE, 0.06 * skills.UP)

    def _over(self, grip: np.ndarray) -> np.ndarray:
        """The point to wait at, higher while the hand still comes from the side."""
        aside = float(np.hypot(*(self._hand() - grip)[:2]))
        higher = _PASSING_M * np.clip((aside - 0.04) / 0.12, 0.0, 1.0)
        return grip + (_HOVER_M + higher) * skills.UP

    def _place_sandal(self, name: str) -> Actions:
        """Carry the sandal beside the bed and put it down, toes towards the bed."""
        place = self._sandal_place(name)
        rotation = hand_rotation(0.0, _SANDAL_PITCH)
        self.precise = False
        self.intent.base_goal = standing_pose(place, 0.0, *_AT_PLACE)
        above = place + _HOVER_M * skills.UP
        carrying.aim_thing(self, _SIDE, lambda: self.position(name), lambda: above, rotation)
        for _ in range(150):
            yield self.command()
            if not skills.holds(self, _SIDE, self._sandal_grip(name), 0.06):
                return
            if self.base_error() < 0.07 and self.hand_error(_SIDE) < 0.04:
                break
        self.precise = True
        below = place - 0.02 * skills.UP
        carrying.aim_thing(
            self,
            _SIDE,
            lambda: self.position(name),
            lambda: carrying.above(below, self.position(name), _HOVER_M),
            rotation,
            lead=0.04,
        )
        yield from self.move(lambda: self.position(name)[2] < 0.004, 50)
        yield from skills.release(self, _SIDE)
        yield from carrying.move_hand(self, _SIDE, 0.09 * skills.UP)

    def _hand(self) -> np.ndarray:
        return self.robot.hand_pose(self.scene.data, _SIDE)[0]

    def _off(self, point: np.ndarray) -> float:
        """Distance of the hand from a point [m]."""
        return float(np.linalg.norm(self._hand() - point))

    def _book(self) -> np.ndarray:
        """Middle of the book's base [m]."""
        return self.position("book")

    def _book_grip(self) -> np.ndarray:
        return self.position("book") + self.rotation("book") @ _BOOK_GRIP

    def _book_hand(self) -> np.ndarray:
        return hand_rotation(self._heading("book"), _BOOK_PITCH)

    def _book_placed(self) -> bool:
        offset = self._book() - self.position("nightstand")
        return bool(np.abs(offset[:2]).max() < 0.17 and abs(offset[2] - NIGHTSTAND_HEIGHT_M) < 0.02)

    def _sandal_grip(self, name: str) -> np.ndarray:
        return self.position(name) + self.rotation(name) @ _SANDAL_GRIP

    def _sandal_hand(self, name: str) -> np.ndarray:
        return hand_rotation(self._heading(name), _SANDAL_PITCH)

    def _sandal_place(self, name: str) -> np.ndarray:
        """Where a sandal belongs: the first beside the bed, the second beside the first."""
        corner = self.position("bed") + np.array(_BED_CORNER)
        first, second = (np.array([*at, 0.0]) for at in _SANDAL_PLACES.values())
        if name == "sandal_1":
            return corner + first
        middle = self.position("sandal_1")
        return np.array([middle[0], middle[1], 0.0]) + second - first

    def _sandal_placed(self, name: str) -> bool:
        offset = self.position(name) - self._sandal_place(name)
        aside = _PLACED_ASIDE_M[name]
        return bool(abs(offset[0]) < 0.05 and abs(offset[1]) < aside and offset[2] < 0.02)

    def _heading(self, name: str) -> float:
        forward = self.rotation(name)[:, 0]
        return wrap_half_turn(float(np.arctan2(forward[1], forward[0])))
