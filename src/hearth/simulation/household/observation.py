"""The official observation map, with the keys and widths that the benchmark names."""

from __future__ import annotations

from collections.abc import Mapping

import mujoco
import numpy as np

from hearth.benchmark import Benchmark
from hearth.core.errors import SimulationError, choices
from hearth.simulation.household.rendering import POLICY_QUALITY, Quality, Renderer, camera_id
from hearth.simulation.household.robot import CAMERAS, Robot

CAMERA_POSES_KEY = "robot_r1::cam_rel_poses"
TASK_KEY = "task_id"
# The 2025 evaluator lists the camera poses in this order.
_POSE_ORDER = ("left_wrist", "right_wrist", "head")


class Observer:
    """Reads observations from one model.

    Args:
        image_sizes: square size in pixels per camera; empty for no images and no graphics at all.

    Raises:
        SimulationError: an unknown camera, a size that is not positive, another proprioception
            width than the robot's, or no off-screen graphics on this machine.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        robot: Robot,
        benchmark: Benchmark,
        task: str,
        image_sizes: Mapping[str, int] | None,
        quality: Quality = POLICY_QUALITY,
    ) -> None:
        self._robot, self._benchmark = robot, benchmark
        self._task_index = benchmark.task(task).index
        self._sizes = dict(image_sizes or {})
        for camera, size in self._sizes.items():
            if camera not in benchmark.cameras or camera not in CAMERAS:
                raise SimulationError(
                    f"unknown camera '{camera}': {choices(camera, benchmark.cameras)}"
                )
            if size < 1:
                raise SimulationError(f"image size of camera '{camera}' is {size}; it must be >= 1")
        self._cameras = {name: camera_id(model, name) for name in CAMERAS}
        largest = max(self._sizes.values(), default=0)
        self._renderer = Renderer(model, largest, largest, quality) if self._sizes else None

    def observe(self, data: mujoco.MjData) -> dict[str, np.ndarray]:
        """The observation of a state after `mj_forward`.

        Images are uint8[size, size, 4] with alpha 255, proprioception and camera poses float32,
        the task index int64[1].
        """
        proprioception = self._robot.proprioception(data)
        expected = self._benchmark.robot.proprioception_width
        if proprioception.shape != (expected,):
            raise SimulationError(
                f"the simulated robot senses {proprioception.shape[0]} numbers; benchmark "
                f"'{self._benchmark.name}' expects {expected}"
            )
        observation = {
            self._benchmark.robot.proprioception_key: proprioception,
            CAMERA_POSES_KEY: self._camera_poses(data),
            TASK_KEY: np.array([self._task_index], dtype=np.int64),
        }
        if self._renderer is not None:
            for camera, size in self._sizes.items():
                image = np.full((size, size, 4), 255, dtype=np.uint8)
                image[..., :3] = self._renderer.draw(data, self._cameras[camera], size, size)
                observation[self._benchmark.cameras[camera].observation_key] = image
        return observation

    def close(self) -> None:
        """Release the renderer."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    def _camera_poses(self, data: mujoco.MjData) -> np.ndarray:
        """float32[21]: per camera position [m] and quaternion (x, y, z, w) in the base frame."""
        base = data.site_xmat[self._robot.base_site].reshape(3, 3)
        origin = data.site_xpos[self._robot.base_site]
        parts = []
        for name in _POSE_ORDER:
            camera = self._cameras[name]
            quaternion = np.zeros(4)
            rotation = base.T @ data.cam_xmat[camera].reshape(3, 3)
            mujoco.mju_mat2Quat(quaternion, rotation.ravel())
            parts += [base.T @ (data.cam_xpos[camera] - origin), quaternion[[1, 2, 3, 0]]]
        return np.concatenate(parts).astype(np.float32)
