"""The action expert: velocity of the flow at a noisy chunk (report, 4.6 and appendix C).

Shape letters: B batch, N flow samples, H horizon, D action width, W width.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx

from hearth.model.embeddings import Table, sine_cosine
from hearth.model.kv_mixing import KeysAndValues
from hearth.model.linear import Linear
from hearth.model.presets import ModelConfig
from hearth.model.transformer import FeedForward, SelfAttention, attend, normalise

_SHORTEST_PERIOD, _LONGEST_PERIOD = 4e-3, 4.0  # of flow time, as in Pi0.5
_MODULATIONS = 6  # shift, scale and gate, for attention and for the feed-forward part


class ExpertLayer(nnx.Module):
    """A transformer layer whose norms and residual gates depend on flow time."""

    def __init__(self, config: ModelConfig, rngs: nnx.Rngs) -> None:
        self.attention = SelfAttention(config, rngs)
        self.feed_forward = FeedForward(config, rngs)

    def __call__(
        self, x: jax.Array, prefix: KeysAndValues, modulations: Sequence[jax.Array]
    ) -> jax.Array:
        """[M, H, W], prefix [M, S, h, d], six modulations [M, 1, W] -> [M, H, W]."""
        shift, scale, gate, mlp_shift, mlp_scale, mlp_gate = modulations
        queries, keys, values = self.attention.project(adaptive_norm(x, shift, scale))
        keys = jnp.concatenate([prefix[0], keys], axis=1)
        values = jnp.concatenate([prefix[1], values], axis=1)
        x = x + gate * self.attention.combine(attend(queries, keys, values))
        return x + mlp_gate * self.feed_forward(adaptive_norm(x, mlp_shift, mlp_scale))


class ActionExpert(nnx.Module):
    """Predicts the velocity of all H actions at once, attending to the mixed prefix."""

    def __init__(self, config: ModelConfig, rngs: nnx.Rngs) -> None:
        self.width = config.width
        self.action_in = Linear(config.action_width, config.width, rngs=rngs)
        self.positions = Table(config.horizon, config.width, rngs)
        self.time_in = Linear(config.width, config.width, rngs=rngs)
        self.time_out = Linear(config.width, config.width, rngs=rngs)
        self.layers = nnx.List([ExpertLayer(config, rngs) for _ in range(config.expert_layers)])
        # All norms in one product. Plain norms and open gates at first: with the gates closed, as
        # in Pi0.5, which starts from trained weights, nothing teaches the vision stem early on.
        self.modulation = Linear(
            config.width,
            (_MODULATIONS * config.expert_layers + 2) * config.width,
            kernel_init=nnx.initializers.zeros_init(),
            rngs=rngs,
        )
        self.modulation.bias = nnx.Param(_open_gates(config))
        self.action_out = Linear(config.width, config.action_width, rngs=rngs)

    def __call__(
        self, noisy: jax.Array, time: jax.Array, prefix: Sequence[KeysAndValues]
    ) -> jax.Array:
        """Velocity float32[B, N, H, D] of `noisy` [B, N, H, D] at flow times [B, N].

        `prefix` holds keys and values [B, S, h, d] per expert layer; all N samples of a batch
        element share them (report, 6.2).
        """
        batch, samples, horizon, width = noisy.shape
        x = self.action_in(noisy.reshape(batch * samples, horizon, width))
        x = x + self.positions.vectors[...][None]
        modulations = self._modulations(time.reshape(batch * samples))
        for index, layer in enumerate(self.layers):
            first = index * _MODULATIONS
            keys, values = (_repeat(item, samples) for item in prefix[index])
            x = layer(x, (keys, values), modulations[first : first + _MODULATIONS])
        velocity = self.action_out(adaptive_norm(x, *modulations[-2:]))
        return velocity.reshape(noisy.shape)

    def _modulations(self, time: jax.Array) -> list[jax.Array]:
        """Flow times [M] -> modulations [M, 1, W], six per layer and two of the last norm."""
        encoded = sine_cosine(time, self.width, _SHORTEST_PERIOD, _LONGEST_PERIOD)
        condition = jax.nn.silu(self.time_out(jax.nn.silu(self.time_in(encoded))))
        modulation = self.modulation(condition)[:, None]
        return jnp.split(modulation, modulation.shape[-1] // self.width, axis=-1)


def _open_gates(config: ModelConfig) -> jax.Array:
    """Bias of the modulations: one for the gates, zero for shifts, scales and the last norm."""
    layer = jnp.array([0.0, 0.0, 1.0, 0.0, 0.0, 1.0])
    parts = jnp.concatenate([jnp.tile(layer, config.expert_layers), jnp.zeros(2)])
    return jnp.repeat(parts, config.width)


def adaptive_norm(x: jax.Array, shift: jax.Array, scale: jax.Array) -> jax.Array:
    """Root-mean-square norm, scaled and shifted by the condition."""
    return normalise(x) * (1.0 + scale) + shift


def _repeat(x: jax.Array, samples: int) -> jax.Array:
    """[B, ...] -> [B * samples, ...], each element `samples` times in a row."""
    shape = (x.shape[0], samples, *x.shape[1:])
    return jnp.broadcast_to(x[:, None], shape).reshape(-1, *x.shape[1:])
