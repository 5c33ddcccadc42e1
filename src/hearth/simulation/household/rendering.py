"""Off-screen cameras: fast and plain for the policy, with shadows and smooth edges for videos."""

from __future__ import annotations

import weakref
from dataclasses import dataclass

import mujoco
import numpy as np

from hearth.core.errors import SimulationError
from hearth.simulation.household.graphics import graphics_context

_MAXIMUM_GEOMS = 1000
_EVERYTHING = int(mujoco.mjtCatBit.mjCAT_ALL)


@dataclass(frozen=True)
class Quality:
    """How a renderer draws: shadow map size (0 for no shadows), samples a pixel, facets of round
    things, subdivision of flat ones. On a CPU shadows cost far more than pixels.
    """

    shadow_size: int
    samples: int
    slices: int
    stacks: int
    quads: int


POLICY_QUALITY = Quality(shadow_size=0, samples=0, slices=10, stacks=5, quads=1)
# Shadows make a room; multisampling on top of them would triple the cost of a frame.
VIDEO_QUALITY = Quality(shadow_size=512, samples=0, slices=12, stacks=6, quads=1)
# What MuJoCo draws when nothing is set: the baseline of benchmarks/simulation_speed.py.
MUJOCO_DEFAULT_QUALITY = Quality(shadow_size=4096, samples=4, slices=28, stacks=16, quads=4)


class Renderer:
    """Draws cameras of one model at sizes up to (width, height).

    Raises:
        SimulationError: this machine has no off-screen graphics; the message says what to install.
    """

    def __init__(self, model: mujoco.MjModel, width: int, height: int, quality: Quality) -> None:
        self._model = model
        quality_settings, screen = model.vis.quality, model.vis.global_
        quality_settings.shadowsize = quality.shadow_size
        quality_settings.offsamples = quality.samples
        quality_settings.numslices = quality.slices
        quality_settings.numstacks = quality.stacks
        quality_settings.numquads = quality.quads
        screen.offwidth, screen.offheight = width, height
        self._graphics = graphics_context(width, height)
        self._graphics.make_current()
        self._context = mujoco.MjrContext(model, int(mujoco.mjtFontScale.mjFONTSCALE_100))
        mujoco.mjr_setBuffer(int(mujoco.mjtFramebuffer.mjFB_OFFSCREEN), self._context)
        # Also at interpreter exit, where the backends' own destructors come too late.
        self._release = weakref.finalize(self, _release, self._graphics, self._context)
        self._scene = mujoco.MjvScene(model, _MAXIMUM_GEOMS)
        for flag in (mujoco.mjtRndFlag.mjRND_REFLECTION, mujoco.mjtRndFlag.mjRND_SKYBOX):
            self._scene.flags[int(flag)] = 0
        self._scene.flags[int(mujoco.mjtRndFlag.mjRND_SHADOW)] = int(quality.shadow_size > 0)
        self._options = mujoco.MjvOption()
        self._options.sitegroup[:] = 0
        self._camera = mujoco.MjvCamera()
        self._camera.type = int(mujoco.mjtCamera.mjCAMERA_FIXED)

    def draw(self, data: mujoco.MjData, camera: int, width: int, height: int) -> np.ndarray:
        """One camera's image of the present state, uint8[height, width, 3], top row first."""
        self._graphics.make_current()
        self._camera.fixedcamid = camera
        # The whole scene, not its camera alone: the headlight shines from the camera.
        mujoco.mjv_updateScene(
            self._model, data, self._options, None, self._camera, _EVERYTHING, self._scene
        )
        viewport = mujoco.MjrRect(0, 0, width, height)
        mujoco.mjr_render(viewport, self._scene, self._context)
        pixels = np.empty((height, width, 3), dtype=np.uint8)
        mujoco.mjr_readPixels(pixels, None, viewport, self._context)
        return pixels[::-1]

    def close(self) -> None:
        """Free the graphics memory; calling it again does nothing."""
        self._release()


def _release(graphics, context: mujoco.MjrContext) -> None:
    graphics.make_current()
    context.free()
    graphics.free()


def camera_id(model: mujoco.MjModel, name: str) -> int:
    """The id of a camera.

    Raises:
        SimulationError: the model has no such camera.
    """
    found = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_CAMERA, name)
    if found < 0:
        raise SimulationError(f"the scene has no camera '{name}'")
    return found
