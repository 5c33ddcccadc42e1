"""The action expert: velocity of the flow at a noisy chunk (report, 4.6 and appendix C).

Shape letters: B batch, N flow samples, H horizon, F flow width, W expert width, E expert layers,
S prefix tokens, k key and value heads, d head width.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from hearth.model.attention import attend_shared
from hearth.model.configuration import ModelConfig
from hearth.model.embeddings import sine_cosine
from hearth.model.kv_mixing import KeysAndValues
from hearth.model.linear import Linear
from hearth.model.norms import AdaptiveNorm
from hearth.model.rotary import angles
from hearth.model.stacking import run, stack
from hearth.model.transformer import Angles, FeedForward, SelfAttention

_SHORTEST_PERIOD, _LONGEST_PERIOD = 4e-3, 4.0  # of flow time, as in Pi0.5


class Context(NamedTuple):
    """What the expert reads of the prefix.

    Attributes:
        keys, values: [E, B, S, k, d], mixed; without FAST tokens.
        mask: bool[B, S], True where a prefix token is valid; None: everywhere.
        start: int32[B or 1], the position of the first action token.
    """

    keys: jax.Array
    values: jax.Array
    mask: jax.Array | None
    start: jax.Array


class ExpertOutput(NamedTuple):
    """A pass of the expert and what it went through.

    Attributes:
        velocity: float32[B, N, H, F].
        tokens: float32[B, N, H, W], the actions as tokens.
        condition: float32[B, N, W], from flow time.
        output: [B, N, H, W], after the final norm.
    """

    velocity: jax.Array
    tokens: jax.Array
    condition: jax.Array
    output: jax.Array


class ExpertLayer(nnx.Module):
    """A transformer layer whose norms and residual gates depend on flow time."""

    def __init__(self, config: ModelConfig, rngs: nnx.Rngs) -> None:
        shape = config.expert_shape
        self.attention_norm = AdaptiveNorm(shape.width, config.gate_start, rngs)
        self.attention = SelfAttention(shape, rngs)
        self.feed_forward_norm = AdaptiveNorm(shape.width, config.gate_start, rngs)
        self.feed_forward = FeedForward(shape, rngs)

    def __call__(
        self,
        x: jax.Array,
        condition: jax.Array,
        shared: KeysAndValues,
        mask: jax.Array | None,
        turns: Angles,
    ) -> jax.Array:
        """[B, N, H, W], condition [B, N, W], keys and values [B, S, k, d] -> [B, N, H, W]."""
        normed, gate = self.attention_norm(x, condition)
        own = self.attention.project_keys_values(normed, turns)
        queries = self.attention.project_queries(normed, turns)
        x = x + gate * self.attention.combine(attend_shared(queries, own, shared, mask))
        normed, gate = self.feed_forward_norm(x, condition)
        return x + gate * self.feed_forward(normed)


class ActionExpert(nnx.Module):
    """Predicts the velocity of all H actions at once, attending to the mixed prefix."""

    def __init__(self, config: ModelConfig, rngs: nnx.Rngs) -> None:
        self.config = config
        width = config.expert_width
        self.action_in = Linear(config.padded_action_width, width, rngs=rngs)
        self.time_in = Linear(width, width, rngs=rngs)
        self.time_out = Linear(width, width, rngs=rngs)
        self.layers = stack(lambda rngs: ExpertLayer(config, rngs), config.expert_layers, rngs)
        self.norm = AdaptiveNorm(width, config.gate_start, rngs)
        self.action_out = Linear(width, config.padded_action_width, rngs=rngs)

    def __call__(self, noisy: jax.Array, time: jax.Array, context: Context) -> ExpertOutput:
        """Velocity at `noisy` [B, N, H, F] and flow times [B, N].

        All N samples of a batch element share its context (report, 6.2). Padding dimensions that
        are no part of the flow read as zero.
        """
        config = self.config
        padding = config.padded_action_width - noisy.shape[-1]
        tokens = self.action_in(jnp.pad(noisy, ((0, 0), (0, 0), (0, 0), (0, padding))))
        condition = self.condition(time)
        positions = context.start[:, None, None] + jnp.arange(noisy.shape[2])[None, None]
        length = context.keys.shape[2] + noisy.shape[2]
        turns = angles(positions, length, config.head_width)
        dtype = jnp.dtype(config.compute_dtype)
        narrow = condition.astype(dtype)

        def step(layer: ExpertLayer, x: jax.Array, shared: KeysAndValues) -> tuple[jax.Array, None]:
            return layer(x, narrow, shared, context.mask, turns), None

        x, _ = run(
            self.layers, step, tokens.astype(dtype), (context.keys, context.values),
            scan=config.scan_layers, remat=config.remat,
        )  # fmt: skip
        output, _ = self.norm(x, narrow)
        velocity = self.action_out(output.astype(jnp.float32))[..., : noisy.shape[-1]]
        return ExpertOutput(velocity, tokens, condition, output)

    def condition(self, time: jax.Array) -> jax.Array:
        """Flow times [B, N] -> float32[B, N, W]."""
        encoded = sine_cosine(time, self.config.expert_width, _SHORTEST_PERIOD, _LONGEST_PERIOD)
        return jax.nn.silu(self.time_out(jax.nn.silu(self.time_in(encoded))))
