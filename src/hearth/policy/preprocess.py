"""The official observation map -> what the network reads."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hearth.benchmark.benchmark import Benchmark, Camera
from hearth.core.errors import ServingError, choices
from hearth.data.resize import resize_with_padding


@dataclass(frozen=True)
class Reading:
    """One observation.

    Attributes:
        images: per camera uint8[h, w, 3 or 4] of the camera's or the network's size; the runner
            brings them to the network's.
        state: float32[D], in the units of the actions, not normalised.
    """

    images: dict[str, np.ndarray]
    state: np.ndarray


def read_observation(
    observation: Mapping[str, Any], benchmark: Benchmark, image_size: int
) -> Reading:
    """Take cameras and proprioception out of an observation; a leading batch axis of 1 may stand.

    Raises:
        ServingError: a key is missing or an array has the wrong shape or type.
    """
    images = {
        name: _image(observation, camera, image_size) for name, camera in benchmark.cameras.items()
    }
    robot = benchmark.robot
    proprioception = np.asarray(_get(observation, robot.proprioception_key)).reshape(-1)
    if proprioception.shape != (robot.proprioception_width,):
        raise ServingError(
            f"'{robot.proprioception_key}' has {proprioception.size} numbers; robot "
            f"'{robot.name}' of benchmark '{benchmark.name}' sends {robot.proprioception_width}"
        )
    if not np.isfinite(proprioception).all():
        raise ServingError(f"'{robot.proprioception_key}' holds values that are not finite")
    return Reading(images, robot.state_from_proprioception(proprioception))


def task_index(observation: Mapping[str, Any], fixed: int | None) -> int:
    """The task an observation names, else the fixed one.

    Raises:
        ServingError: the observation has no ``task_id`` and no task was fixed.
    """
    value = observation.get("task_id")
    if value is None:
        if fixed is None:
            raise ServingError(
                "the observation has no 'task_id' and the policy was started without a task; "
                "start it with one"
            )
        return fixed
    numbers = np.asarray(value).reshape(-1)
    if numbers.size != 1:
        raise ServingError(f"'task_id' must hold one number, not {numbers.size}")
    return int(numbers[0])


def fingerprint(reading: Reading) -> int:
    """A 32-bit number of an observation's content, the same on every machine and run."""
    value = zlib.crc32(np.ascontiguousarray(reading.state).tobytes())
    for name in sorted(reading.images):
        value = zlib.crc32(np.ascontiguousarray(reading.images[name]).tobytes(), value)
    return value


def _get(observation: Mapping[str, Any], key: str) -> Any:
    if key not in observation:
        raise ServingError(f"the observation lacks '{key}': {choices(key, observation)}")
    return observation[key]


def _image(observation: Mapping[str, Any], camera: Camera, size: int) -> np.ndarray:
    """An image of the camera's or the network's size as it is, any other resized.

    So the runner meets, and compiles for, a few sizes only.
    """
    key = camera.observation_key
    image = np.asarray(_get(observation, key))
    if image.ndim == 4 and image.shape[0] == 1:
        image = image[0]
    if image.ndim != 3 or image.shape[-1] not in (3, 4) or image.dtype != np.uint8:
        raise ServingError(
            f"'{key}' must be uint8[height, width, 3 or 4], not {image.dtype}{list(image.shape)}"
        )
    portrait = image.shape[0] > image.shape[1]  # which `resize_on_device` leaves to the host
    if image.shape[:2] in ((camera.height, camera.width), (size, size)) and not portrait:
        return image
    return resize_with_padding(image, size)
