"""Disturbing what an expert executes, so that demonstrations show how to recover."""

from __future__ import annotations

import numpy as np

from hearth.core.seeds import generator
from hearth.simulation.household.robot import ACTION_LOWER, ACTION_SIZE, ACTION_SLICES, ACTION_UPPER

_DECAY = 0.92
# Experts command from the measured joints, so noise on the command moves the arm on and on while
# it lasts, about 1 / (1 - _DECAY) steps; this share keeps the arm within about `scale` of its way.
_PER_STEP = 0.4


class NoisyExecution:
    """Ornstein-Uhlenbeck noise on arm targets and on the base velocity.

    Args:
        seed: of the noise alone.
        scale: how far arm joints are pushed off their way [rad], roughly; 0 turns it off.
        base: m/s and rad/s of base noise for a radian of arm noise (`Expert.base_noise`).
    """

    def __init__(self, seed: int, scale: float = 0.04, base: float = 4.0) -> None:
        self._random = generator(seed, "execution noise")
        self._deviation = np.zeros(ACTION_SIZE)
        self._deviation[ACTION_SLICES["left_arm"]] = scale * _PER_STEP
        self._deviation[ACTION_SLICES["right_arm"]] = scale * _PER_STEP
        self._deviation[ACTION_SLICES["base"]] = scale * base
        self._state = np.zeros(ACTION_SIZE)

    def __call__(self, action: np.ndarray, gain: float) -> np.ndarray:
        """The action to execute: ``action`` plus noise times ``gain``, within the limits."""
        fresh = self._random.standard_normal(ACTION_SIZE) * self._deviation
        self._state = _DECAY * self._state + np.sqrt(1.0 - _DECAY**2) * fresh
        return np.clip(action + gain * self._state, ACTION_LOWER, ACTION_UPPER)
