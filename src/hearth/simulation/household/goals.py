"""Goals and start conditions, parsed, grounded and evaluated by bddl (the BEHAVIOR definitions)."""

from __future__ import annotations

from typing import Any

import bddl.activity
from bddl.backend_abc import BDDLBackend
from bddl.logic_base import BinaryAtomicFormula, UnaryAtomicFormula

from hearth.core.errors import SimulationError
from hearth.simulation.environment import GoalLiteral
from hearth.simulation.household.predicates import Predicates
from hearth.simulation.household.world import Entity

_DEFINITION, _DOMAIN = 0, "omnigibson"


class _Backend(BDDLBackend):
    """Gives bddl a formula class for every predicate it meets."""

    def __init__(self, predicates: Predicates) -> None:
        self._predicates = predicates

    def get_predicate_class(self, predicate_name: str):
        """The formula class of a predicate.

        Raises:
            SimulationError: the embedded simulator has no such predicate.
        """
        predicates = self._predicates
        unary = predicates.arity(predicate_name) == 1
        base: Any = UnaryAtomicFormula if unary else BinaryAtomicFormula

        class Formula(base):
            STATE_NAME = predicate_name

            def _evaluate(self, *entities: Entity) -> bool:
                return predicates.evaluate(predicate_name, *entities)

            def _sample(self, *_) -> bool:
                raise SimulationError("instances are placed by instances.py, not by bddl")

        return Formula


class Goals:
    """The goal and the start conditions of one activity on one scene.

    Args:
        task: the activity's name.
        predicates: evaluates predicates on the scene.
        entities: the scene's object for every object of the activity, by the activity's names.

    Raises:
        SimulationError: the scene lacks an object that the activity names.
    """

    def __init__(self, task: str, predicates: Predicates, entities: dict[str, Entity]) -> None:
        conditions = bddl.activity.Conditions(task, _DEFINITION, _DOMAIN)
        _replace_wildcards(conditions.parsed_objects, entities)
        scope = bddl.activity.get_object_scope(conditions)
        missing = sorted(set(scope) - set(entities))
        if missing:
            raise SimulationError(f"the scene of '{task}' lacks {', '.join(missing)}")
        scope.update({name: entities[name] for name in scope})
        backend = _Backend(predicates)
        self._start = bddl.activity.get_initial_conditions(
            conditions, backend, scope, generate_ground_options=False
        )
        self._goal = bddl.activity.get_goal_conditions(conditions, backend, scope)
        self._options = bddl.activity.get_ground_goal_state_options(
            conditions, backend, scope, self._goal
        )
        self._initially: dict[str, bool] = {}

    def unmet_start_conditions(self) -> list[str]:
        """The activity's start conditions that do not hold now, as text."""
        return [
            _text(condition.body) for condition in self._start or () if not condition.evaluate()
        ]

    def begin(self) -> None:
        """Take the present state as the start of an episode."""
        self._initially = self._evaluate_literals()

    def satisfied(self) -> bool:
        """Whether the whole goal holds now."""
        return bddl.activity.evaluate_goal_conditions(self._goal)[0]

    def score(self) -> float:
        """OmniGibson's q score: 1 on success, else the best option's share of literals gained.

        A literal that already held at the start earns nothing.
        """
        if self.satisfied():
            return 1.0
        now = self._evaluate_literals()
        gained = {text for text, value in now.items() if value and not self._initially[text]}
        return max(
            sum(_text(literal.body) in gained for literal in option) / len(option)
            for option in self._options
        )

    def literals(self) -> list[GoalLiteral]:
        """Every ground literal of any option, in bddl's order."""
        now = self._evaluate_literals()
        return [GoalLiteral(text, self._initially[text], value) for text, value in now.items()]

    def _evaluate_literals(self) -> dict[str, bool]:
        values: dict[str, bool] = {}
        for option in self._options:
            for literal in option:
                text = _text(literal.body)
                if text not in values:
                    values[text] = bool(literal.evaluate())
        return values


def _replace_wildcards(objects: dict[str, list[str]], entities: dict[str, Entity]) -> None:
    """Replace `category_*` (as many as the scene has) by the scene's own further objects."""
    for category, names in objects.items():
        if any(name.endswith("_*") for name in names):
            named = [name for name in names if not name.endswith("_*")]
            further = [
                name
                for name in entities
                if name.rsplit("_", 1)[0] == category and name not in named
            ]
            objects[category] = named + sorted(further)


def _text(body: list) -> str:
    """A condition's body as one line, without the question marks of variables.

    >>> _text(["not", ["open", "?fridge_1"]])
    'not (open fridge_1)'
    """
    return " ".join(
        f"({_text(part)})" if isinstance(part, list) else part.lstrip("?") for part in body
    )
