"""The backbone: Gemma's transformer over the prefix, which hands out keys and values per layer.

Shape letters: B batch, T tokens, S prefix tokens, W width, h query heads, k key and value heads,
d head width, L layers.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax.ad_checkpoint import checkpoint_name

from hearth.model.attention import attend
from hearth.model.configuration import LayerShape, ModelConfig
from hearth.model.linear import Linear, gated_gelu
from hearth.model.norms import Norm
from hearth.model.rotary import angles, rotate
from hearth.model.stacking import rematerialised, run, run_in_place, split_last, stack, take

KeysAndValues = tuple[jax.Array, jax.Array]
Angles = tuple[jax.Array, jax.Array]


class SelfAttention(nnx.Module):
    """Projections of attention with rotary positions; no biases."""

    def __init__(self, shape: LayerShape, rngs: nnx.Rngs) -> None:
        self.shape = shape
        keys_and_values = 2 * shape.kv_heads * shape.head_width
        inner = shape.heads * shape.head_width
        self.queries = Linear(shape.width, inner, use_bias=False, rngs=rngs)
        self.keys_values = Linear(shape.width, keys_and_values, use_bias=False, rngs=rngs)
        self.out = Linear(inner, shape.width, use_bias=False, rngs=rngs)

    def project_queries(self, x: jax.Array, turns: Angles) -> jax.Array:
        """[..., T, W] -> [..., T, h, d]."""
        queries = checkpoint_name(self.queries(x), "projected")
        split = (*x.shape[:-1], self.shape.heads, self.shape.head_width)
        return rotate(queries.reshape(split), turns)

    def project_keys_values(self, x: jax.Array, turns: Angles) -> KeysAndValues:
        """[..., T, W] -> two of [..., T, k, d]; keys are turned by their positions."""
        both = checkpoint_name(self.keys_values(x), "projected")
        keys, values = jnp.split(both, 2, axis=-1)
        split = (*x.shape[:-1], self.shape.kv_heads, self.shape.head_width)
        return rotate(keys.reshape(split), turns), values.reshape(split)

    def combine(self, attended: jax.Array) -> jax.Array:
        """[..., T, h, d] -> [..., T, W]."""
        attended = checkpoint_name(attended, "attended")
        return self.out(attended.reshape(*attended.shape[:-2], -1))


class FeedForward(nnx.Module):
    """Gated perceptron (GeGLU); no biases."""

    def __init__(self, shape: LayerShape, rngs: nnx.Rngs) -> None:
        self.gate = Linear(shape.width, shape.mlp_width, use_bias=False, rngs=rngs)
        self.up = Linear(shape.width, shape.mlp_width, use_bias=False, rngs=rngs)
        self.down = Linear(shape.mlp_width, shape.width, use_bias=False, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        gate = checkpoint_name(self.gate(x), "gate")
        up = checkpoint_name(self.up(x), "up")
        return self.down(gated_gelu(gate, up))


class BackboneLayer(nnx.Module):
    """A pre-norm transformer layer that also hands out its keys and values."""

    def __init__(self, shape: LayerShape, rngs: nnx.Rngs) -> None:
        self.attention_norm = Norm(shape.width)
        self.attention = SelfAttention(shape, rngs)
        self.feed_forward_norm = Norm(shape.width)
        self.feed_forward = FeedForward(shape, rngs)

    def __call__(
        self, x: jax.Array, mask: jax.Array, turns: Angles, rows: slice | None = None
    ) -> tuple[jax.Array, KeysAndValues]:
        """Tokens [B, S, W], mask bool[B or 1, S, S] -> tokens of `rows`, keys and values of all."""
        normed = self.attention_norm(x)
        keys, values = self.attention.project_keys_values(normed, turns)
        query_turns = turns
        if rows is not None:
            x, normed, mask = x[:, rows], normed[:, rows], mask[:, rows]
            query_turns = (turns[0][:, rows], turns[1][:, rows])
        queries = self.attention.project_queries(normed, query_turns)
        x = x + self.attention.combine(attend(queries, keys, values, mask))
        x = x + self.feed_forward(self.feed_forward_norm(x))
        return x, (keys, values)


class BackboneOutput(NamedTuple):
    """What a pass over the prefix leaves.

    Attributes:
        tokens: [B, rows, W], after the final norm; the chosen rows.
        keys, values: [L, B, S, k, d], keys after their rotation.
    """

    tokens: jax.Array
    keys: jax.Array
    values: jax.Array


class Backbone(nnx.Module):
    """All layers and the final norm."""

    def __init__(self, config: ModelConfig, rngs: nnx.Rngs) -> None:
        shape = config.backbone_shape
        self.scan, self.remat, self.count = config.scan_layers, config.remat, config.prefix_layers
        self.layers = stack(lambda rngs: BackboneLayer(shape, rngs), config.prefix_layers, rngs)
        self.norm = Norm(shape.width)

    def __call__(
        self,
        tokens: jax.Array,
        mask: jax.Array,
        positions: jax.Array,
        rows: slice | None = None,
        *,
        training: bool = False,
    ) -> BackboneOutput:
        """Tokens [B, S, W], mask bool[B or 1, S, S], positions int[B or 1, S].

        The last layer computes no more than `rows`, the tokens that something reads: the action
        expert reads keys and values, which come from the layer's input. A pass that is not
        `training` copies no weights.
        """
        turns = angles(positions, tokens.shape[1], self.layers.attention.shape.head_width)

        def step(layer: BackboneLayer, x: jax.Array, _: None) -> tuple[jax.Array, KeysAndValues]:
            return layer(x, mask, turns)

        def final(layer: BackboneLayer, x: jax.Array) -> tuple[jax.Array, KeysAndValues]:
            return layer(x, mask, turns, rows)

        cache: list[KeysAndValues] = []
        if self.scan and not training and self.count > 1:
            last = take(self.layers, -1)
            tokens, stacked = run_in_place(self.layers, step, tokens, self.count - 1)
            cache.append(stacked)
        else:
            first, last = split_last(self.layers)
            if first is not None:
                tokens, stacked = run(first, step, tokens, scan=self.scan, remat=self.remat)
                cache.append(stacked)
        graph, parameters = nnx.split(last)
        final_layer = rematerialised(
            lambda parameters, x: final(nnx.merge(graph, parameters), x), self.remat, in_loop=False
        )
        tokens, (keys, values) = final_layer(parameters, tokens)
        cache.append((keys[None], values[None]))
        return BackboneOutput(
            self.norm(tokens),
            jnp.concatenate([keys for keys, _ in cache]),
            jnp.concatenate([values for _, values in cache]),
        )
