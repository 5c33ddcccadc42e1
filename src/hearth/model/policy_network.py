"""The whole network: prefix (images, task, stage, state) and action expert.

Shape letters: B batch, N flow samples, H horizon, D action width, S prefix tokens, W width.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from hearth.model.action_expert import ActionExpert
from hearth.model.embeddings import Table
from hearth.model.kv_mixing import KeysAndValues, KVMixing
from hearth.model.linear import Linear
from hearth.model.masks import FUSED_BLOCK, RELIABLE_BLOCK, additive, block_mask
from hearth.model.presets import MAXIMUM_STAGES, ModelConfig
from hearth.model.stage_fusion import FUSION_TOKENS, StageFusion, valid_stages
from hearth.model.transformer import Norm, PrefixLayer
from hearth.model.vision import VisionStem

# Where a patch lies says as much as what it shows: reaching for things is about places.
_PLACE_SCALE = 0.5
_IMPOSSIBLE = -1e9  # logit of a stage that the task does not have


class Prefix(NamedTuple):
    """What one prefix pass leaves for the action expert and for stage tracking.

    Attributes:
        layers: keys and values [B, S, h, d] per expert layer, already mixed.
        stage_logits: float32[B, 15], a large negative number at stages the task lacks.
    """

    layers: list[KeysAndValues]
    stage_logits: jax.Array


class PolicyNetwork(nnx.Module):
    """Images, task, stage and state -> stage logits and the velocity field of action chunks.

    An observation is a mapping with `images` {camera: [B, h, w, 3] in 0..255}, `state`
    float32[B, D] normalised, `task` int32[B] and `stage` int32[B] (below the task's count).
    """

    def __init__(self, config: ModelConfig, rngs: nnx.Rngs) -> None:
        self.config = config
        width = config.width
        self.vision = VisionStem(config, rngs)
        self.camera_table = Table(len(config.cameras), width, rngs, _PLACE_SCALE)
        self.position_table = Table(config.tokens_per_camera, width, rngs, _PLACE_SCALE)
        self.task_table = Table(len(config.stage_counts), width, rngs)
        self.stage_fusion = StageFusion(config, rngs)
        self.state_in = Linear(config.action_width, width, rngs=rngs)
        self.layers = nnx.List([PrefixLayer(config, rngs) for _ in range(config.prefix_layers)])
        self.stage_norm = Norm(width)
        self.stage_head = Linear(width, MAXIMUM_STAGES, rngs=rngs)
        self.kv_mixing = KVMixing(config)
        self.expert = ActionExpert(config, rngs)

    def encode(self, observation: Mapping[str, Any]) -> Prefix:
        """One prefix pass, shared by all flow samples and all denoising steps."""
        task, stage = observation["task"], observation["stage"]
        tokens = self._tokens(observation["images"], task, stage, observation["state"])
        task_row = slice(self.config.image_tokens, self.config.image_tokens + 1)
        mask = jnp.asarray(additive(self.mask))
        layers: list[KeysAndValues] = []
        for index, layer in enumerate(self.layers):
            # Of the last layer only the task token goes on, to the stage head.
            rows = task_row if index == len(self.layers) - 1 else None
            tokens, keys, values = layer(tokens, mask, rows)
            layers.append((keys, values))
        logits = self.stage_head(self.stage_norm(tokens[:, 0]))
        valid = valid_stages(task, self.config.stage_counts, MAXIMUM_STAGES)
        return Prefix(self.kv_mixing(layers), jnp.where(valid, logits, _IMPOSSIBLE))

    def velocity(self, noisy: jax.Array, time: jax.Array, prefix: Prefix) -> jax.Array:
        """Velocity float32[B, N, H, D] (noise minus actions) at `noisy` and flow times [B, N]."""
        return self.expert(noisy, time, prefix.layers)

    @property
    def mask(self) -> np.ndarray:
        """bool[S, S]: which prefix token (row) sees which (column)."""
        reliable = [RELIABLE_BLOCK] * (self.config.image_tokens + 1)
        return block_mask(reliable + [FUSED_BLOCK] * (FUSION_TOKENS + 1))

    def _tokens(
        self, images: Mapping[str, jax.Array], task: jax.Array, stage: jax.Array, state: jax.Array
    ) -> jax.Array:
        """[B, S, W]: image tokens by camera | base task | four stage-task tokens, state."""
        stacked = jnp.stack([images[camera] for camera in self.config.cameras], axis=1)
        batch, cameras = stacked.shape[:2]
        features = self.vision(stacked.reshape(batch * cameras, *stacked.shape[2:]))
        places = self.camera_table.vectors[...][:, None] + self.position_table.vectors[...][None]
        features = features.reshape(batch, cameras, *features.shape[1:]) + places[None]
        task_embedding = self.task_table(task)
        return jnp.concatenate(
            [
                features.reshape(batch, -1, self.config.width),
                task_embedding[:, None],
                self.stage_fusion(task_embedding, task, stage),
                self.state_in(state)[:, None],
            ],
            axis=1,
        )
