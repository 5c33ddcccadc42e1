from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hearth.core.errors import SettingsError
from hearth.model.presets import ModelConfig
from hearth.model.vision import VisionStem, scale_images, space_to_depth


def test_scale_images_covers_minus_one_to_one() -> None:
    scaled = scale_images(jnp.asarray([0, 255], jnp.uint8))
    np.testing.assert_allclose(scaled, [-1.0, 1.0])


@pytest.mark.parametrize("merges", [0, 1, 2])
def test_space_to_depth_orders_by_quadrants(merges: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (16, 24, 3), np.uint8)

    def split(block: np.ndarray, levels: int) -> list[np.ndarray]:
        if not levels:
            return [block.reshape(-1)]
        half = len(block) // 2
        quadrants = [
            block[y : y + half, x : x + half] for y in (0, half) for x in (0, half)
        ]  # fmt: skip
        return [pixels for part in quadrants for pixels in split(part, levels - 1)]

    blocks = [image[y : y + 8, x : x + 8] for y in (0, 8) for x in (0, 8, 16)]
    expected = np.stack([np.stack(split(block, merges)) for block in blocks])
    ordered = np.asarray(space_to_depth(jnp.asarray(image[None]), 8, merges))
    np.testing.assert_array_equal(ordered.reshape(expected.shape), expected)


def test_a_pixel_reaches_its_own_token_only(config: ModelConfig) -> None:
    stem = VisionStem(config, nnx.Rngs(0))
    image = np.full((1, 16, 16, 3), 100, np.uint8)
    changed = image.copy()
    changed[0, 9, 3] = 255  # the lower left of four patches of 8 pixels
    difference = np.abs(np.asarray(stem(jnp.asarray(changed)) - stem(jnp.asarray(image))))
    np.testing.assert_array_equal(difference[0].max(axis=-1) > 1e-4, [False, False, True, False])


def test_float_images_in_the_same_range_give_the_same_tokens(config: ModelConfig) -> None:
    stem = VisionStem(config, nnx.Rngs(0))
    image = np.random.default_rng(0).integers(0, 256, (1, 16, 16, 3), np.uint8)
    tokens = stem(jnp.asarray(image))
    np.testing.assert_allclose(stem(jnp.asarray(image, jnp.float32)), tokens, rtol=1e-6)


def test_patch_must_halve(config: ModelConfig) -> None:
    odd = dataclasses.replace(config, patch_size=2, stem_widths=(8, 8))
    with pytest.raises(SettingsError, match="cannot be halved 2 times"):
        VisionStem(odd, nnx.Rngs(0))
