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
_CARRY_HEIGHT_M, _SAFE_HEIGHT_M = 0.78, 0.70
# A hand this far from the grip has lost what it held [m].
_HELD_M = 0.06
# Cosine of the tilt beyond which the book has fallen over.
_UPRIGHT = 0.7
_SANDAL_PITCH = np.deg2rad(60)
_SANDAL_GRIP = np.array([0.005, 0.0, 0.034])
_AT_SANDAL = (0.56, -0.36)
_AT_PLACE = (0.56, -0.18)
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
        yield from carrying.take(self, _SIDE, self._book_grip, self._book_hand)

    def _place_book(self) -> Actions:
        """Carry the book over the head of the bed and put it down on the nightstand."""
        place = self.position("nightstand") + _BOOK_PLACE
        above = np.array([place[0], place[1], _CARRY_HEIGHT_M])
        rotation = hand_rotation(0.0, _BOOK_PITCH)
        self.intent.base_goal = standing_pose(place, 0.0, *_AT_NIGHTSTAND)
        held = yield from carrying.carry(
            self,
            _SIDE,
            self._book,
            above,
            rotation,
            lambda: skills.holds(self, _SIDE, self._book_grip(), _HELD_M),
            _SAFE_HEIGHT_M,
        )
        if held:
            back = rotation @ np.array([-0.12, 0.0, 0.0])
            yield from carrying.set_down(self, _SIDE, self._book, place, rotation, back)

    def _withdraw(self) -> Actions:
        """Back away from the nightstand before bending down."""
        self.precise = False
        self.intent.base_goal = standing_pose(self.position("sandal_1"), 0.0, *_AT_SANDAL)
        skills.go_home(self, _SIDE)
        yield from self.move(lambda: self.base_pose()[0] < 0.12, 60)

    def _fetch_sandal(self, name: str) -> Actions:
        """Stand behind the sandal, lower the open hand across its width, close, lift."""
        self.intent.trunk = skills.LOW_TRUNK
        self.intent.arms = dict(skills.LOW_ARMS)
        self.intent.base_goal = standing_pose(self._sandal_grip(name), 0.0, *_AT_SANDAL)
        yield from carrying.take(
            self, _SIDE, lambda: self._sandal_grip(name), lambda: self._sandal_hand(name)
        )

    def _place_sandal(self, name: str) -> Actions:
        """Carry the sandal beside the bed and put it down, toes towards the bed."""
        place = self._sandal_place(name)
        above = place + carrying.HOVER_M * skills.UP
        rotation = hand_rotation(0.0, _SANDAL_PITCH)
        self.intent.base_goal = standing_pose(place, 0.0, *_AT_PLACE)

        def sandal() -> np.ndarray:
            return self.position(name)

        held = yield from carrying.carry(
            self,
            _SIDE,
            sandal,
            above,
            rotation,
            lambda: skills.holds(self, _SIDE, self._sandal_grip(name), _HELD_M),
            0.0,
        )
        if held:
            yield from carrying.set_down(self, _SIDE, sandal, place, rotation, 0.09 * skills.UP)

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
