"""The choice of off-screen graphics, made before mujoco is imported."""

from __future__ import annotations

import ctypes.util
import os

MISSING_GRAPHICS = (
    "no off-screen graphics library was found, so no image can be rendered: install libosmesa6, "
    "or libegl1 and libgl1 together, or set MUJOCO_GL to a backend that works here"
)


def select_backend() -> str:
    """Set MUJOCO_GL unless the user has, and return its value.

    EGL and OSMesa give the same bytes here; EGL starts faster and uses a GPU where there is one.
    Without either library mujoco still simulates, but only if it is told not to look for graphics.
    """
    if not os.environ.get("MUJOCO_GL"):
        if ctypes.util.find_library("EGL") and ctypes.util.find_library("GL"):
            backend = "egl"
        elif ctypes.util.find_library("OSMesa"):
            backend = "osmesa"
        else:
            backend = "disable"
        os.environ["MUJOCO_GL"] = backend
    return os.environ["MUJOCO_GL"]
