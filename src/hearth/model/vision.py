"""Vision: an image becomes a grid of tokens, by a patch stem and a vision transformer.

Shape letters: B images, T tokens of an image, V vision width, W backbone width.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jax.ad_checkpoint import checkpoint_name

from hearth.core.errors import SettingsError
from hearth.model.attention import attend
from hearth.model.configuration import ModelConfig
from hearth.model.embeddings import Table
from hearth.model.linear import Linear, gelu
from hearth.model.stacking import run, stack

_EPSILON = 1e-6


class PatchStem(nnx.Module):
    """Patches to tokens: one linear layer, or a space-to-depth perceptron that merges patches.

    With merges the first layer reads the smallest patches (4 x 4 pixels for two merges and
    16-pixel tokens); each further layer reads 2 x 2 neighbours of the layer before. That
    localises objects better than one linear layer and is cheaper than a convolutional stem.
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
        outputs = (*config.stem_widths, config.vision_width)
        dtype = parameter_dtype(config)
        self.layers = nnx.List(
            [
                Linear(i, o, param_dtype=dtype, rngs=rngs)
                for i, o in zip(inputs, outputs, strict=True)
            ]
        )

    def __call__(self, images: jax.Array) -> jax.Array:
        """[B, h, w, 3] in 0..255 -> float32[B, T, V], tokens in row-major order."""
        # One transposition, of bytes, leaves only reshapes between the layers.
        features = scale_images(space_to_depth(images, self.patch_size, self.merges))
        for layer in list(self.layers)[:-1]:
            features = gelu(layer(features))
            features = features.reshape(*features.shape[:-2], -1)
        return self.layers[-1](features)


class VisionAttention(nnx.Module):
    """Multi-head attention among the tokens of an image, with biases."""

    def __init__(self, config: ModelConfig, rngs: nnx.Rngs) -> None:
        width, dtype = config.vision_width, parameter_dtype(config)
        self.heads = config.vision_heads
        self.queries = Linear(width, width, param_dtype=dtype, rngs=rngs)
        self.keys_values = Linear(width, 2 * width, param_dtype=dtype, rngs=rngs)
        self.out = Linear(width, width, param_dtype=dtype, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        queries = checkpoint_name(self.queries(x), "projected")
        keys, values = jnp.split(checkpoint_name(self.keys_values(x), "projected"), 2, axis=-1)
        split = (*x.shape[:-1], self.heads, x.shape[-1] // self.heads)
        attended = attend(queries.reshape(split), keys.reshape(split), values.reshape(split))
        return self.out(checkpoint_name(attended, "attended").reshape(x.shape))


class VisionFeedForward(nnx.Module):
    """Two-layer perceptron with GELU and biases."""

    def __init__(self, config: ModelConfig, rngs: nnx.Rngs) -> None:
        width, inner, dtype = config.vision_width, config.vision_mlp_width, parameter_dtype(config)
        self.up = Linear(width, inner, param_dtype=dtype, rngs=rngs)
        self.down = Linear(inner, width, param_dtype=dtype, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.down(gelu(checkpoint_name(self.up(x), "gate")))


class VisionLayer(nnx.Module):
    """A pre-norm transformer layer of the vision transformer."""

    def __init__(self, config: ModelConfig, rngs: nnx.Rngs) -> None:
        self.attention_norm = layer_norm(config, rngs)
        self.attention = VisionAttention(config, rngs)
        self.feed_forward_norm = layer_norm(config, rngs)
        self.feed_forward = VisionFeedForward(config, rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = x + self.attention(self.attention_norm(x).astype(x.dtype))
        return x + self.feed_forward(self.feed_forward_norm(x).astype(x.dtype))


class VisionEncoder(nnx.Module):
    """Stem, learned positions, transformer (if any) and a head to the backbone's width.

    Shared by all cameras. A frozen one gets no gradient and keeps its parameters in the type it
    computes with.
    """

    def __init__(self, config: ModelConfig, rngs: nnx.Rngs) -> None:
        self.config = config
        width, dtype = config.vision_width, parameter_dtype(config)
        self.stem = PatchStem(config, rngs)
        self.position_table = Table(
            config.tokens_per_camera, width, rngs, config.position_scale, dtype
        )
        if config.vision_layers:
            self.layers = stack(lambda rngs: VisionLayer(config, rngs), config.vision_layers, rngs)
            self.norm = layer_norm(config, rngs)
            self.head = Linear(width, config.width, param_dtype=dtype, rngs=rngs)

    def __call__(self, images: jax.Array) -> jax.Array:
        """[B, h, w, 3] in 0..255 -> [B, T, W] in the compute type."""
        config = self.config
        positions = self.position_table.vectors[...].astype(jnp.float32)
        x = (self.stem(images) + positions[None]).astype(config.compute_dtype)
        if config.vision_layers:
            # Without a gradient nothing is kept, so nothing is there to recompute.
            remat = config.remat if config.vision_trainable else "none"
            x, _ = run(
                self.layers, lambda layer, x, _: (layer(x), None), x,
                scan=config.scan_layers, remat=remat,
            )  # fmt: skip
            x = self.head(self.norm(x).astype(x.dtype))
        return x if config.vision_trainable else jax.lax.stop_gradient(x)


def parameter_dtype(config: ModelConfig) -> jnp.dtype:
    """float32 for what an optimizer changes; a frozen encoder keeps the compute type."""
    return jnp.dtype("float32" if config.vision_trainable else config.compute_dtype)


def layer_norm(config: ModelConfig, rngs: nnx.Rngs) -> nnx.LayerNorm:
    """SigLIP's layer norm; computes in float32."""
    return nnx.LayerNorm(
        config.vision_width, epsilon=_EPSILON, dtype=jnp.float32,
        param_dtype=parameter_dtype(config), rngs=rngs,
    )  # fmt: skip


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
