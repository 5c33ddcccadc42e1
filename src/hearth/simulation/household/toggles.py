"""Push buttons that switch their object on and off."""

from __future__ import annotations

import mujoco
import numpy as np

from hearth.core.errors import SimulationError
from hearth.simulation.household.objects import BUTTON_TRAVEL_M

# A press counts after a tenth of a second, so that a knock in passing does not (OmniGibson holds
# its toggle contact for several steps for the same reason).
PRESS_STEPS = 3
PRESSED_M = -0.6 * BUTTON_TRAVEL_M
RELEASED_M = -0.3 * BUTTON_TRAVEL_M
_LIT = (0.35, 1.0, 0.45, 1.0)


class Toggle:
    """The switch of the object `name`: body and joint `<name>_button`, geom `<name>_light`.

    Only a finger switches, as in OmniGibson; a radio that falls on its button does not. Holding
    the button down switches once; it must come up before it can switch again.

    Args:
        fingers: ids of the robot's finger geoms.

    Raises:
        SimulationError: the object has no button.
    """

    def __init__(self, model: mujoco.MjModel, name: str, fingers: np.ndarray) -> None:
        joint = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_JOINT, f"{name}_button")
        light = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_GEOM, f"{name}_light")
        if joint < 0 or light < 0:
            raise SimulationError(f"'{name}' has no button, so it cannot be switched on")
        self._address = int(model.jnt_qposadr[joint])
        self._button = np.flatnonzero(model.geom_bodyid == model.jnt_bodyid[joint])
        self._fingers = fingers
        self._model, self._light = model, light
        self._dark = model.geom_rgba[light].copy()
        self.reset()

    def reset(self) -> None:
        """Switch off, button up."""
        self._held, self._armed = 0, True
        self._set(False)

    def update(self, data: mujoco.MjData) -> None:
        """Read the button after one control step."""
        travel = data.qpos[self._address]
        pressed = travel <= PRESSED_M and self._touched(data)
        self._held = self._held + 1 if pressed else 0
        if self._armed and self._held >= PRESS_STEPS:
            self._set(not self.on)
            self._armed = False
        elif travel >= RELEASED_M:
            self._armed = True

    def _touched(self, data: mujoco.MjData) -> bool:
        pairs = data.contact.geom
        by_button, by_finger = np.isin(pairs, self._button), np.isin(pairs, self._fingers)
        return bool((by_button.any(axis=1) & by_finger.any(axis=1)).any())

    def _set(self, on: bool) -> None:
        self.on = on
        self._model.geom_rgba[self._light] = _LIT if on else self._dark
