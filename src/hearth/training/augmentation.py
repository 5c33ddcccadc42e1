"""Augmentation inside the compiled step: where the camera looks, its colours, the robot's state.

Crop and rotation belong to the head camera (`geometry_cameras`): a wrist camera is fixed to what it
shows, the hand, and its geometry carries meaning. Colours change on every camera. This is how Pi0.5
is fine-tuned; each strength is a setting and 0 (or a crop of 1) leaves the numbers as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.ndimage import map_coordinates

from hearth.core.sections import RunSettings

_LUMINANCE = (0.299, 0.587, 0.114)  # of red, green and blue (ITU-R BT.601)
_WHITE = 255.0


def augment(batch: Mapping[str, Any], key: jax.Array, settings: RunSettings) -> dict[str, Any]:
    """The batch with noise on its state and changed images; a pure function of its arguments.

    Images [B, h, w, 3] in 0..255 become float32 in 0..255; every sample and camera draws its own
    changes. What is neither image nor state passes through.
    """
    state_key, image_key = jax.random.split(key)
    state = batch["state"]
    noise = settings.state_noise * jax.random.normal(state_key, state.shape, state.dtype)
    images = {}
    for index, name in enumerate(sorted(batch["images"])):
        camera_key = jax.random.fold_in(image_key, index)
        image = batch["images"][name].astype(jnp.float32)
        if name in settings.geometry_cameras:
            image = random_geometry(image, camera_key, settings)
        images[name] = random_colour(image, camera_key, settings)
    return {**batch, "state": state + noise, "images": images}


def random_geometry(images: jax.Array, key: jax.Array, settings: RunSettings) -> jax.Array:
    """Crop [B, h, w, 3] at a random place, resize back and rotate by a random angle."""
    if settings.crop_fraction == 1.0 and settings.rotation_degrees == 0.0:
        return images
    place_key, angle_key = (jax.random.fold_in(key, purpose) for purpose in (1, 2))
    samples = images.shape[0]
    place = jax.random.uniform(place_key, (samples, 2))
    limit = jnp.deg2rad(settings.rotation_degrees)
    angle = jax.random.uniform(angle_key, (samples,), minval=-limit, maxval=limit)
    return jax.vmap(lambda image, at, by: crop_and_rotate(image, settings.crop_fraction, at, by))(
        images, place, angle
    )


def crop_and_rotate(
    image: jax.Array, fraction: float, place: jax.Array, angle: jax.Array | float
) -> jax.Array:
    """Enlarge a part of the image to its full size and turn it, in one bilinear resampling.

    What lies outside the image takes the colour of the nearest edge.

    Args:
        image: float32[h, w, C].
        fraction: sides of the part over sides of the image, in (0, 1].
        place: float32[2] in 0..1, row and column of the part: 0 is top left, 1 bottom right.
        angle: radians, anticlockwise.
    """
    size = jnp.asarray(image.shape[:2], jnp.float32)
    centre = (size - 1.0) / 2.0
    rows, columns = jnp.meshgrid(
        jnp.arange(image.shape[0]) - centre[0], jnp.arange(image.shape[1]) - centre[1],
        indexing="ij",
    )  # fmt: skip
    cosine, sine = jnp.cos(angle), jnp.sin(angle)
    turned = (cosine * rows + sine * columns, cosine * columns - sine * rows)
    middle = centre + (place - 0.5) * (1.0 - fraction) * size
    source = [fraction * turned[axis] + middle[axis] for axis in range(2)]
    sample = jax.vmap(
        lambda channel: map_coordinates(channel, source, order=1, mode="nearest"),
        in_axes=-1, out_axes=-1,
    )  # fmt: skip
    return sample(image)


def random_colour(images: jax.Array, key: jax.Array, settings: RunSettings) -> jax.Array:
    """Change brightness, contrast and saturation of [B, h, w, 3], each by a factor around one."""
    shape = (images.shape[0], 1, 1, 1)

    def factor(own: jax.Array, strength: float) -> jax.Array:
        return jax.random.uniform(own, shape, minval=1.0 - strength, maxval=1.0 + strength)

    changed = _within(images * factor(key, settings.brightness_jitter))
    if settings.contrast_jitter:
        mean = jnp.mean(luminance(changed), axis=(1, 2, 3), keepdims=True)
        strength = factor(jax.random.fold_in(key, 3), settings.contrast_jitter)
        changed = _within(mean + strength * (changed - mean))
    if settings.saturation_jitter:
        grey = luminance(changed)
        strength = factor(jax.random.fold_in(key, 4), settings.saturation_jitter)
        changed = _within(grey + strength * (changed - grey))
    if settings.colour_probability < 1.0:
        chosen = jax.random.bernoulli(
            jax.random.fold_in(key, 5), settings.colour_probability, shape
        )
        changed = jnp.where(chosen, changed, images)
    return changed


def luminance(images: jax.Array) -> jax.Array:
    """[..., 3] -> [..., 1], the brightness that an eye would give a pixel."""
    weights = jnp.asarray(_LUMINANCE, images.dtype)
    return jnp.sum(
        images * jnp.expand_dims(weights, tuple(range(images.ndim - 1))), -1, keepdims=True
    )


def _within(images: jax.Array) -> jax.Array:
    return jnp.clip(images, 0.0, _WHITE)
