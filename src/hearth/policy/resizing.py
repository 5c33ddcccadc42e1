"""Pillow's bilinear filter as a compiled program: native images go to the device as they are.

On an accelerator it costs next to nothing, where `data.resize`, whose equal it is bit for bit,
takes milliseconds of a processor core for every chunk.
"""

from __future__ import annotations

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np

from hearth.data.resize import fitted_size, margins

_FRACTION_BITS = 22  # of a weight, as in Pillow: 32 less a pixel's 8 and 2 to spare


@partial(jax.jit, static_argnames="size")
def resize_on_device(images: jax.Array | np.ndarray, size: int) -> jax.Array:
    """uint8[B, h, w, 3 or 4], h <= w -> uint8[B, size, size, 3], as `resize_with_padding`.

    Images taller than wide would differ in last bits: Pillow filters some of them rows first.
    """
    height, width = images.shape[1:3]
    rows, columns = fitted_size(height, width, size)
    # Columns first, and rounded in between: the order decides the last bit.
    small = _filtered(_filtered(jnp.asarray(images)[..., :3], 2, columns), 1, rows)
    return jnp.pad(small, ((0, 0), margins(rows, size), margins(columns, size), (0, 0)))


def _filtered(images: jax.Array, axis: int, size: int) -> jax.Array:
    """One axis of uint8[B, h, w, c] brought to `size` pixels."""
    if images.shape[axis] == size:
        return images
    places, weights = _taps(images.shape[axis], size)
    shape = [1] * images.ndim
    shape[axis] = size
    total = jnp.int32(1 << (_FRACTION_BITS - 1))  # a half: the shift below then rounds
    for place, weight in zip(places, weights, strict=True):
        pixels = jnp.take(images, place, axis, mode="clip").astype(jnp.int32)
        total = total + pixels * weight.reshape(shape)
    return jnp.clip(total >> _FRACTION_BITS, 0, 255).astype(jnp.uint8)


@cache
def _taps(source: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Which pixels make a new one, int32[taps, size], and how much each weighs, int32[taps, size].

    Weights are in units of 2^-22; a tap outside the image weighs nothing.
    """
    scale = source / size
    reach = max(scale, 1.0)  # the filter is a triangle of this half width, in old pixels
    centres = (np.arange(size) + 0.5) * scale
    first = np.maximum((centres - reach + 0.5).astype(np.int64), 0)
    end = np.minimum((centres + reach + 0.5).astype(np.int64), source)
    places = first + np.arange(int((end - first).max()))[:, None]
    distances = np.abs((places - centres + 0.5) / reach)
    weights = np.where((distances < 1.0) & (places < end), 1.0 - distances, 0.0)
    weights /= weights.sum(0)
    rounded = (weights * (1 << _FRACTION_BITS) + 0.5).astype(np.int32)
    return np.minimum(places, source - 1).astype(np.int32), rounded
