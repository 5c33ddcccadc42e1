"""The vision stem: an image becomes a grid of tokens by merging patches, 4 -> 8 -> 16 pixels."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx

from hearth.core.errors import SettingsError
from hearth.model.linear import Linear, gelu
from hearth.model.presets import ModelConfig


class VisionStem(nnx.Module):
    """Space-to-depth MLP, shared by all cameras.

    The first layer reads the smallest patches (4 x 4 pixels for two merges and 16-pixel tokens);
    each further layer reads 2 x 2 neighbours of the layer before. It localises objects better
    than one linear patch embedding and is cheaper than a convolutional stem.
    """

    def __init__(self, config: ModelConfig, rngs: nnx.Rngs) -> None:
        self.patch_size = config.patch_size
        self.merges = len(config.stem_widths)
        first_patch = config.patch_size >> self.merges
        if first_patch << self.merges != config.patch_size:
            raise SettingsError(
                f"patch size {config.patch_size} cannot be halved {self.merges} times"
            )
        inputs = (3 * first_patch**2, *(4 * width for width in config.stem_widths))
        outputs = (*config.stem_widths, config.width)
        self.layers = nnx.List(
            [Linear(i, o, rngs=rngs) for i, o in zip(inputs, outputs, strict=True)]
        )

    def __call__(self, images: jax.Array) -> jax.Array:
        """[B, h, w, 3] in 0..255 -> float32[B, tokens, width], tokens in row-major order."""
        # One transposition, of bytes, leaves only reshapes between the layers.
        features = scale_images(space_to_depth(images, self.patch_size, self.merges))
        for layer in self.layers[:-1]:
            features = gelu(layer(features))
            features = features.reshape(*features.shape[:-2], -1)
        return self.layers[-1](features)


def scale_images(images: jax.Array) -> jax.Array:
    """Images in 0..255 -> float32 in [-1, 1]."""
    return images.astype(jnp.float32) / 127.5 - 1.0


def space_to_depth(images: jax.Array, patch_size: int, merges: int) -> jax.Array:
    """Order the pixels of each patch by quadrants, `merges` levels deep.

    [B, h, w, C] -> [B, h*w/patch_size^2, 4, ..., 4, pixels*C], with one axis of 4 (row-major
    quadrants) per level and the pixels of the smallest patches last.
    """
    batch, height, width, channels = images.shape
    smallest = patch_size >> merges
    split = [2] * merges + [smallest]
    grid = (height // patch_size, width // patch_size)
    pixels = images.reshape(batch, grid[0], *split, grid[1], *split, channels)
    levels = len(split) + 1
    rows = range(1, 1 + levels)
    columns = range(1 + levels, 1 + 2 * levels)
    interleaved = [axis for pair in zip(rows, columns, strict=True) for axis in pair]
    pixels = pixels.transpose(0, *interleaved, 2 * levels + 1)
    return pixels.reshape(batch, grid[0] * grid[1], *[4] * merges, smallest**2 * channels)
