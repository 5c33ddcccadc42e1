"""Runs that learn from other statistics than their experiment's: another normalisation of actions.

Such a run has `statistics.h5` and, with FAST tokens, a tokenizer below ``variants/<run>/``. What
starts from its weights shares them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from hearth.core.data_sections import StatisticsSettings
from hearth.core.errors import choices

if TYPE_CHECKING:
    from hearth.core.settings import Settings

# The horizon is not among them: the runtime of every evaluation counts on one.
OWN = ("delta_actions", "per_timestep")


def check_keys(place: str, overrides: Mapping[str, Any]) -> None:
    """Refuse what a run may not measure otherwise.

    Raises:
        ValueError: naming `place`, the key or value and the valid choices.
    """
    for key in overrides:
        if key not in OWN:
            raise ValueError(f"{place}: unknown or taken key '{key}': {choices(key, OWN)}")
    try:
        StatisticsSettings.model_validate(dict(overrides))
    except ValidationError as error:
        found = error.errors()[0]
        raise ValueError(
            f"{place}.{found['loc'][0]} = {found['input']!r}: {found['msg']}"
        ) from error


def check_own_statistics(settings: Settings) -> None:
    """Check the overrides of all runs, and that none leaves the statistics it learned with.

    Raises:
        ValueError: naming the run, the key and the valid choices.
    """
    for name in settings.run_names:
        own = settings.run(name).statistics
        check_keys(f"runs.{name}.statistics", own)
        first = settings.first_run(name)
        if own and own != settings.run(first).statistics:
            raise ValueError(
                f"runs.{name}.statistics {own}: the run starts from the weights of run '{first}', "
                f"which learned with {settings.run(first).statistics or 'those of the experiment'};"
                " leave 'statistics' out, or start afresh"
            )


def measures_anew(settings: Settings, run: str) -> bool:
    """Whether a run's statistics need a pass of their own over the episodes.

    The moments of a task hold for either normalisation, but only for one kind of chunks.
    """
    return "delta_actions" in settings.own_statistics(run)
