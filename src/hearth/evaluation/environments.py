"""Factories of environments by simulator name. A worker imports the one it is told."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from hearth.benchmark import Benchmark
from hearth.core.errors import EvaluationError, choices
from hearth.simulation.environment import Environment

# factory(task, benchmark, image_size or None for no cameras)
EnvironmentFactory = Callable[[str, Benchmark, int | None], Environment]

FACTORIES = {"household": "hearth.evaluation.environments:household"}


def factory_name(benchmark: Benchmark) -> str:
    """The ``module:function`` that makes the environments of `benchmark`.

    Raises:
        EvaluationError: its simulator is not one of ours.
    """
    if benchmark.simulator not in FACTORIES:
        raise EvaluationError(
            f"benchmark '{benchmark.name}' runs in '{benchmark.simulator}', which is not played in "
            f"a process of ours: {choices(benchmark.simulator, FACTORIES)}"
        )
    return FACTORIES[benchmark.simulator]


def load_factory(name: str) -> EnvironmentFactory:
    """Import ``module:function``.

    Raises:
        EvaluationError: there is no such module or function.
    """
    module, _, function = name.partition(":")
    try:
        return getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise EvaluationError(f"environment factory '{name}' cannot be used: {error}") from error


def household(task: str, benchmark: Benchmark, image_size: int | None) -> Environment:
    """The embedded MuJoCo environment."""
    from hearth.simulation.household.environment import HouseholdEnvironment

    sizes = None if image_size is None else dict.fromkeys(benchmark.cameras, image_size)
    return HouseholdEnvironment(task, benchmark, sizes)
