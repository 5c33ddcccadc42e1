from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hearth.core.errors import SettingsError
from hearth.model.configuration import ModelConfig
from hearth.model.vision import PatchStem, VisionEncoder, scale_images, space_to_depth


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
    stem = PatchStem(config, nnx.Rngs(0))
    image = np.full((1, 16, 16, 3), 100, np.uint8)
    changed = image.copy()
    changed[0, 9, 3] = 255  # the lower left of four patches of 8 pixels
    difference = np.abs(np.asarray(stem(jnp.asarray(changed)) - stem(jnp.asarray(image))))
    np.testing.assert_array_equal(difference[0].max(axis=-1) > 1e-4, [False, False, True, False])


def test_float_images_in_the_same_range_give_the_same_tokens(config: ModelConfig) -> None:
    stem = PatchStem(config, nnx.Rngs(0))
    image = np.random.default_rng(0).integers(0, 256, (1, 16, 16, 3), np.uint8)
    tokens = stem(jnp.asarray(image))
    np.testing.assert_allclose(stem(jnp.asarray(image, jnp.float32)), tokens, rtol=1e-6)


def test_patch_must_halve(config: ModelConfig) -> None:
    odd = dataclasses.replace(config, patch_size=2, stem_widths=(8, 8))
    with pytest.raises(SettingsError, match="cannot be halved 2 times"):
        PatchStem(odd, nnx.Rngs(0))


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)


def test_without_merges_the_stem_is_one_linear_layer(
    config: ModelConfig, images: np.ndarray
) -> None:
    stem = PatchStem(dataclasses.replace(config, stem_widths=()), nnx.Rngs(0))
    patch = scale_images(jnp.asarray(images[:, :8, 8:])).reshape(2, -1)
    layer = stem.layers[0]
    expected = patch @ layer.kernel[...] + layer.bias[...][None]  # type: ignore[index]
    np.testing.assert_allclose(stem(jnp.asarray(images))[:, 1], expected, atol=1e-5)


def test_tokens_of_an_image_see_each_other(config: ModelConfig, images: np.ndarray) -> None:
    encoder = jax.jit(VisionEncoder(config, nnx.Rngs(0)))
    changed = images.copy()
    changed[:, 9, 3] = 255 - changed[:, 9, 3]
    difference = np.abs(np.asarray(encoder(jnp.asarray(changed)) - encoder(jnp.asarray(images))))
    assert difference.shape == (2, 4, config.width)
    assert difference.max(axis=-1).min() > 1e-5


def test_without_layers_stem_and_positions_are_all(config: ModelConfig, images: np.ndarray) -> None:
    plain = dataclasses.replace(config, vision_layers=0, vision_width=config.width)
    encoder = VisionEncoder(plain, nnx.Rngs(0))
    expected = encoder.stem(jnp.asarray(images)) + encoder.position_table.vectors[...][None]
    np.testing.assert_array_equal(encoder(jnp.asarray(images)), expected)


def test_a_frozen_encoder_gets_no_gradient_and_keeps_half_precision(
    config: ModelConfig, images: np.ndarray
) -> None:
    frozen = dataclasses.replace(config, vision_trainable=False, compute_dtype="bfloat16")
    assert frozen.frozen == ("vision",) and config.frozen == ()
    graph, parameters = nnx.split(VisionEncoder(frozen, nnx.Rngs(0)))
    assert {leaf.dtype for leaf in jax.tree.leaves(parameters)} == {jnp.dtype("bfloat16")}
    gradient = jax.grad(lambda p: jnp.sum(nnx.merge(graph, p)(images).astype(jnp.float32)))(
        parameters
    )
    assert not any(np.any(leaf != 0.0) for leaf in jax.tree.leaves(gradient))
