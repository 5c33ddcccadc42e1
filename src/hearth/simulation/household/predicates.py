"""The predicates of the activity definitions, with OmniGibson's meaning.

Adjacency is by rays, as in OmniGibson: B is adjacent to A along a direction when a ray from the
middle of A's bounds along it meets B, whatever lies between.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hearth.core.errors import SimulationError, choices
from hearth.simulation.household.toggles import Toggle
from hearth.simulation.household.world import Entity, World

# OmniGibson's constants: a revolute door is open beyond 5 % of its range; two things are next to
# each other within a sixth of their mean extents; horizontal rays leave in ten planes.
OPEN_FRACTION = 0.05
NEXT_TO_FRACTION = 1.0 / 6.0
_PLANES = 10

_DOWN, _UP = np.array([0.0, 0.0, -1.0]), np.array([0.0, 0.0, 1.0])
_AXES = [
    (np.array([np.cos(angle), np.sin(angle), 0.0]), np.array([-np.sin(angle), np.cos(angle), 0.0]))
    for angle in np.arange(_PLANES) * (np.pi / 2 / _PLANES)
]


class Predicates:
    """Evaluates predicates by name on one world."""

    def __init__(self, world: World, toggles: dict[str, Toggle]) -> None:
        self.world, self.toggles = world, toggles
        self._unary: dict[str, Callable[[Entity], bool]] = {
            "open": self.is_open,
            "toggled_on": self.toggled_on,
        }
        self._binary: dict[str, Callable[[Entity, Entity], bool]] = {
            "inside": self.inside,
            "nextto": self.next_to,
            "ontop": self.on_top,
            "touching": world.touching,
            "under": self.under,
        }

    def arity(self, name: str) -> int:
        """1 or 2.

        Raises:
            SimulationError: the embedded simulator has no such predicate.
        """
        if name in self._unary:
            return 1
        if name in self._binary:
            return 2
        valid = [*self._unary, *self._binary]
        raise SimulationError(f"unknown predicate '{name}': {choices(name, valid)}")

    def evaluate(self, name: str, *entities: Entity) -> bool:
        """The truth of one ground predicate in the present state."""
        if self.arity(name) == 1:
            return self._unary[name](*entities)
        return self._binary[name](*entities)

    def on_top(self, upper: Entity, lower: Entity) -> bool:
        """They touch, and `lower` lies below the middle of `upper` but not above it.

        The robot stands on the floor below its base, for its wheels are not simulated.
        """
        centre = self.world.centre(upper)
        if not (upper.is_agent or self.world.touching(upper, lower)):
            return False
        below = self.world.ray_hits(centre, _DOWN, lower)
        return below and not self.world.ray_hits(centre, _UP, lower)

    def under(self, lower: Entity, upper: Entity) -> bool:
        """They do not touch, and `upper` lies above the middle of `lower` but not below it."""
        if self.world.touching(lower, upper):
            return False
        centre = self.world.centre(lower)
        above = self.world.ray_hits(centre, _UP, upper)
        return above and not self.world.ray_hits(centre, _DOWN, upper)

    def inside(self, inner: Entity, outer: Entity) -> bool:
        """The middle of `inner` lies in the bounds of `outer`, which stands on both sides of it.

        Both sides along at least two axes: the vertical and one horizontal, or two horizontal.
        """
        centre = self.world.centre(inner)
        lower, upper = self.world.extent(outer)
        if not (np.all(centre > lower) and np.all(centre < upper)):
            return False
        needed = 1 if self._both_sides(centre, _UP, outer) else 2
        return any(
            sum(self._both_sides(centre, axis, outer) for axis in axes) >= needed for axes in _AXES
        )

    def next_to(self, first: Entity, second: Entity) -> bool:
        """Their bounds are near each other and a horizontal ray from one meets the other."""
        (lower_1, upper_1), (lower_2, upper_2) = map(self.world.extent, (first, second))
        gap = np.maximum(np.maximum(lower_1 - upper_2, lower_2 - upper_1), 0.0)
        mean_extent = np.mean((upper_1 - lower_1) + (upper_2 - lower_2))
        if np.linalg.norm(gap) > NEXT_TO_FRACTION * mean_extent:
            return False
        return self._beside(first, second) or self._beside(second, first)

    def is_open(self, entity: Entity) -> bool:
        """A door of the object is open by more than 5 % of its range."""
        return self.world.openness(entity) > OPEN_FRACTION

    def toggled_on(self, entity: Entity) -> bool:
        """The object is switched on."""
        if entity.name not in self.toggles:
            raise SimulationError(
                f"'{entity.name}' has no switch: {choices(entity.name, self.toggles)}"
            )
        return self.toggles[entity.name].on

    def _both_sides(self, centre: np.ndarray, axis: np.ndarray, entity: Entity) -> bool:
        hits = self.world.ray_hits
        return hits(centre, axis, entity) and hits(centre, -axis, entity)

    def _beside(self, first: Entity, second: Entity) -> bool:
        centre = self.world.centre(first)
        return any(
            self.world.ray_hits(centre, sign * axis, second)
            for axes in _AXES
            for axis in axes
            for sign in (1.0, -1.0)
        )
