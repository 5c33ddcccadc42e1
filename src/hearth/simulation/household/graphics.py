"""The choice of off-screen graphics, made before mujoco is imported."""

from __future__ import annotations

import ctypes.util
import importlib
import os

from hearth.core.errors import SimulationError, choices

MISSING_GRAPHICS = (
    "no off-screen graphics library was found, so no image can be rendered: install libosmesa6, "
    "or libegl1 and libgl1 together, or set MUJOCO_GL to a backend that works here"
)
BACKENDS = ("egl", "osmesa", "glfw")


def select_backend() -> str:
    """Set MUJOCO_GL unless the user has, and return its value.

    EGL and OSMesa give the same bytes here; EGL starts faster and uses a GPU where there is one.
    Without either library mujoco still simulates, but only if it is told not to look for graphics.

    Mesa's drawing on the CPU is kept to the calling thread, unless LP_NUM_THREADS says otherwise:
    an image of the policy is a single tile, and simulators run side by side. Same bytes.
    """
    os.environ.setdefault("LP_NUM_THREADS", "0")
    if not os.environ.get("MUJOCO_GL"):
        if ctypes.util.find_library("EGL") and ctypes.util.find_library("GL"):
            backend = "egl"
        elif ctypes.util.find_library("OSMesa"):
            backend = "osmesa"
        else:
            backend = "disable"
        os.environ["MUJOCO_GL"] = backend
    return os.environ["MUJOCO_GL"]


def graphics_context(width: int, height: int):
    """An off-screen OpenGL context of the selected backend.

    The backend's own class is used, for `mujoco.GLContext` is fixed by whoever imports mujoco
    first in a process.

    Raises:
        SimulationError: no graphics, or an unknown MUJOCO_GL; the message says what to do.
    """
    backend = select_backend().lower()
    if backend in ("disable", "disabled", "off", "false", "0"):
        raise SimulationError(MISSING_GRAPHICS)
    if backend not in BACKENDS:
        raise SimulationError(
            f"MUJOCO_GL is '{backend}', which is no backend: {choices(backend, BACKENDS)}"
        )
    try:
        return importlib.import_module(f"mujoco.{backend}").GLContext(width, height)
    except Exception as error:  # a missing library shows as any of several exceptions
        raise SimulationError(f"{MISSING_GRAPHICS} ({backend} failed with: {error})") from error
