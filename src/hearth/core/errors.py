"""The exception family: every message names what was wrong, the value, and the valid choices."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class HearthError(Exception):
    """Base of every error that a user can cause or mend. The command line prints it and exits 1."""


class StorageError(HearthError):
    """A file cannot be written: the disk is full, or the folder refuses."""


class SettingsError(HearthError):
    """A configuration key, value or combination is not valid."""


class DataError(HearthError):
    """Demonstrations or prepared episodes are missing, truncated or inconsistent."""


class StatisticsError(HearthError):
    """A statistics file is missing, or belongs to another data set or robot layout."""


class BundleError(HearthError):
    """A policy bundle is incomplete, changed, or made for another robot layout."""


class WeightsError(HearthError):
    """Weights of another code base do not fit the network, or ours do not fit that code base."""


class CheckpointError(HearthError):
    """A training checkpoint cannot be read or does not fit the settings."""


class TrainingError(HearthError):
    """Training diverged or may not write this run."""


class ServingError(HearthError):
    """The policy server cannot start, or a client sent something it cannot serve."""


class SimulationError(HearthError):
    """The simulator cannot be started or was asked for something it does not have."""


class EvaluationError(HearthError):
    """An evaluation cannot be run or merged."""


class UploadError(HearthError):
    """A bucket cannot be reached or refuses, or what shall be sent is not there."""


class LaunchError(HearthError):
    """Jobs are refused, end without progress, or the cluster does not answer."""


def choices(value: object, valid: Iterable[object]) -> str:
    """A sentence part that lists the valid choices, the nearest first named when one is close.

    >>> choices("turning_on_radoi", ["turning_on_radio", "bringing_water"])
    "did you mean 'turning_on_radio'? Valid: bringing_water, turning_on_radio"
    """
    names = sorted(str(item) for item in valid)
    near = difflib.get_close_matches(str(value), names, n=1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    return f"{hint}Valid: {', '.join(names) if names else '(none)'}"
