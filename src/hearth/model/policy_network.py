"""The whole network: prefix (images, task, stage, state, FAST tokens) and action expert.

Shape letters: B batch, C cameras, N flow samples, H horizon, F flow width, S prefix tokens,
L backbone layers, W width, k key and value heads, d head width.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from hearth.model.action_expert import ActionExpert, Context, ExpertOutput
from hearth.model.configuration import MAXIMUM_STAGES, STATE_BINS, ModelConfig
from hearth.model.embeddings import Table
from hearth.model.fast_tokens import FastTargets, FastTokens, targets_of
from hearth.model.kv_mixing import KVMixing
from hearth.model.linear import Linear
from hearth.model.masks import attention_mask, prefix_blocks, valid_tokens
from hearth.model.positions import prefix_positions, suffix_start
from hearth.model.stage_fusion import StageFusion, valid_stages
from hearth.model.state_tokens import discretise
from hearth.model.transformer import Backbone, BackboneOutput
from hearth.model.vision import VisionEncoder

_IMPOSSIBLE = -1e9  # logit of a stage that the task does not have
# Spread of the table of state tokens before it is scaled by the root of the width (Gemma).
_STATE_SCALE = 0.01


class PrefixTokens(NamedTuple):
    """The prefix as the backbone reads it: images | task | stage-task | state | FAST.

    Attributes:
        tokens: [B, S, W] in the compute type.
        valid: bool[B, S], or None where every token of every sample is valid.
        attention_mask: bool[B or 1, S, S], row sees column.
        positions: int32[B or 1, S].
        images: [B, C, tokens of a camera, W], the vision encoder's output.
        fast_length: number of FAST tokens at the end, 0 without.
    """

    tokens: jax.Array
    valid: jax.Array | None
    attention_mask: jax.Array
    positions: jax.Array
    images: jax.Array
    fast_length: int


class Prefix(NamedTuple):
    """What one prefix pass leaves for the action expert, for stage tracking and for losses.

    Attributes:
        context: what the action expert reads.
        stage_logits: float32[B, 15], a large negative number at stages the task lacks.
        fast_logits: float32[B, L, vocabulary]; None without FAST tokens.
    """

    context: Context
    stage_logits: jax.Array
    fast_logits: jax.Array | None


class PolicyNetwork(nnx.Module):
    """Images, task, stage and state -> stage logits and the velocity field of action chunks.

    An observation is a mapping with `images` {camera: [B, h, w, 3] in 0..255}, `state`
    float32[B, D] normalised, `task` int32[B], `stage` int32[B] (below the task's count), and
    optionally `image_mask` {camera: bool[B]}, False where a camera's image is missing. A training
    batch may add `fast_tokens` int32[B, L] and `fast_token_mask` bool[B, L].
    """

    def __init__(self, config: ModelConfig, rngs: nnx.Rngs) -> None:
        self.config = config
        width = config.width
        self.vision = VisionEncoder(config, rngs)
        if config.camera_table:
            self.camera_table = Table(len(config.cameras), width, rngs, config.position_scale)
        self.task_table = Table(len(config.stage_counts), width, rngs)
        if config.stage_input:
            self.stage_fusion = StageFusion(config, rngs)
        if config.state_tokens == "discretised":
            self.state_table = Table(config.embedding_rows, width, rngs, _STATE_SCALE)
        else:
            self.state_in = Linear(config.action_width, width, rngs=rngs)
        if config.fast:
            self.fast = FastTokens(config, rngs)
        self.backbone = Backbone(config, rngs)
        self.stage_head = Linear(width, MAXIMUM_STAGES, rngs=rngs)
        if config.kv_mixing:
            self.kv_mixing = KVMixing(config)
        self.expert = ActionExpert(config, rngs)

    def encode(self, observation: Mapping[str, Any], *, training: bool = False) -> Prefix:
        """One prefix pass, shared by all flow samples and all denoising steps.

        Args:
            training: read the batch's FAST tokens, if the network has any.

        Raises:
            SettingsError: FAST tokens are wanted, but the batch has none.
        """
        prefix = self.embed(observation, training=training)
        output = self.transform(prefix, training=training)
        return self.read(prefix, output, observation["task"], training=training)

    def velocity(self, noisy: jax.Array, time: jax.Array, prefix: Prefix) -> jax.Array:
        """Velocity float32[B, N, H, F] (noise minus actions) at `noisy` and flow times [B, N]."""
        return self.expert(noisy, time, prefix.context).velocity

    def embed(self, observation: Mapping[str, Any], *, training: bool = False) -> PrefixTokens:
        """The prefix's tokens, who sees whom, and their positions."""
        config, task = self.config, observation["task"]
        images = self._images(observation["images"])
        task_embedding = self.task_table(task)
        parts = [images.reshape(images.shape[0], -1, config.width), task_embedding[:, None]]
        if config.stage_input:
            parts.append(self.stage_fusion(task_embedding, task, observation["stage"]))
        parts.append(self._state(jnp.asarray(observation["state"])))
        fast_length, fast_mask = 0, None
        if config.fast and training:
            targets: FastTargets = targets_of(observation)
            tokens, fast_mask = self.fast.embed(targets)
            parts.append(tokens)
            fast_length = tokens.shape[1]
        dtype = jnp.dtype(config.compute_dtype)
        tokens = jnp.concatenate([part.astype(dtype) for part in parts], axis=1)
        valid = valid_tokens(config, observation.get("image_mask"), fast_mask)
        mask = attention_mask(prefix_blocks(config, fast_length), valid)
        positions = prefix_positions(valid, tokens.shape[1])
        return PrefixTokens(tokens, valid, mask, positions, images, fast_length)

    def transform(
        self, prefix: PrefixTokens, *, all_rows: bool = False, training: bool = False
    ) -> BackboneOutput:
        """The backbone's pass; its last layer computes what `read` needs, or all rows."""
        task = self.config.image_tokens
        rows = slice(task, None if prefix.fast_length else task + 1)
        return self.backbone(
            prefix.tokens, prefix.attention_mask, prefix.positions, None if all_rows else rows,
            training=training,
        )  # fmt: skip

    def read(
        self,
        prefix: PrefixTokens,
        output: BackboneOutput,
        task: jax.Array,
        *,
        training: bool = False,
    ) -> Prefix:
        """What the action expert, the stage tracker and the losses need of a backbone's pass."""
        rows = output.tokens.astype(jnp.float32)
        # Either all rows, or those that `transform` chose, which begin at the task's.
        task_row = self.config.image_tokens if rows.shape[1] == prefix.tokens.shape[1] else 0
        logits = self.stage_head(rows[:, task_row])
        valid = valid_stages(task, self.config.stage_counts, MAXIMUM_STAGES)
        fast_logits = None
        if prefix.fast_length:
            fast_logits = self.fast.head(rows[:, -prefix.fast_length :])
        context = self._context(prefix, output, training)
        return Prefix(context, jnp.where(valid, logits, _IMPOSSIBLE), fast_logits)

    def expert_pass(self, noisy: jax.Array, time: jax.Array, context: Context) -> ExpertOutput:
        """The action expert's pass with everything on its way."""
        return self.expert(noisy, time, context)

    def _context(self, prefix: PrefixTokens, output: BackboneOutput, training: bool) -> Context:
        """Keys and values for the action expert, which never sees FAST tokens."""
        config = self.config
        length = prefix.tokens.shape[1] - prefix.fast_length
        keys, values = output.keys[:, :, :length], output.values[:, :, :length]
        if config.knowledge_insulation:
            # Before the mixing, which goes on learning from the action loss.
            keys, values = jax.lax.stop_gradient((keys, values))
        if config.kv_mixing:
            keys, values = self.kv_mixing(keys, values)
        valid = None if prefix.valid is None else prefix.valid[:, :length]
        start = suffix_start(valid, length, config.suffix_positions, training)
        return Context(keys, values, valid, start)

    def _images(self, images: Mapping[str, jax.Array]) -> jax.Array:
        """[B, C, tokens of a camera, W]."""
        stacked = jnp.stack([images[camera] for camera in self.config.cameras], axis=1)
        batch, cameras = stacked.shape[:2]
        features = self.vision(stacked.reshape(batch * cameras, *stacked.shape[2:]))
        features = features.reshape(batch, cameras, *features.shape[1:])
        if not self.config.camera_table:
            return features
        return features + self.camera_table.vectors[...][None, :, None].astype(features.dtype)

    def _state(self, state: jax.Array) -> jax.Array:
        """Normalised state [B, D] -> [B, state tokens, W]."""
        config = self.config
        if config.state_tokens == "continuous":
            return self.state_in(state)[:, None]
        bins = discretise(state, config.state_ranges)
        return self.state_table(bins, STATE_BINS) * config.width**0.5
