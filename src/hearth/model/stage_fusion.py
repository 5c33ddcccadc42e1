"""Stage-task fusion: four tokens that say where in the task the robot is (report, appendix A)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from hearth.model.configuration import ModelConfig
from hearth.model.embeddings import Table, sine_cosine
from hearth.model.linear import Linear

_SHORTEST_PERIOD, _LONGEST_PERIOD = 1e-3, 1.0  # of the normalised stage


class StageFusion(nnx.Module):
    """Combines the task embedding with a sine-cosine and a learned encoding of the stage."""

    def __init__(self, config: ModelConfig, rngs: nnx.Rngs) -> None:
        width, half = config.width, config.width // 2
        counts = np.asarray(config.stage_counts, dtype=np.int32)
        self.stage_counts = tuple(int(count) for count in counts)
        # Row of (task, stage) in the learned table: tasks one after another.
        self.first_rows = tuple(int(row) for row in np.cumsum(counts) - counts)
        self.stage_table = Table(int(counts.sum()), half, rngs)
        self.task_gate = Linear(2 * width, width, rngs=rngs)
        self.sine_cosine_gate = Linear(2 * width, half, rngs=rngs)
        self.learned_gate = Linear(2 * width, half, rngs=rngs)
        self.balanced_in = Linear(2 * width, 2 * width, rngs=rngs)
        self.balanced_out = Linear(2 * width, width, rngs=rngs)
        self.stage_projection = Linear(width, width, rngs=rngs)

    def __call__(self, task_embedding: jax.Array, task: jax.Array, stage: jax.Array) -> jax.Array:
        """[B, W], int32[B], int32[B] with stage < stage count of the task -> [B, 4, W]."""
        half = task_embedding.shape[-1] // 2
        position = normalised_stage(task, stage, self.stage_counts)
        periodic = sine_cosine(position, half, _SHORTEST_PERIOD, _LONGEST_PERIOD)
        learned = self.stage_table(jnp.asarray(self.first_rows)[task] + stage)
        inputs = jnp.concatenate([task_embedding, periodic, learned], axis=-1)
        task_gated = task_embedding * jax.nn.sigmoid(self.task_gate(inputs))
        balanced = self.balanced_out(jax.nn.relu(self.balanced_in(inputs)))
        stage_dominant = self.stage_projection(
            jnp.concatenate(
                [
                    periodic * jax.nn.sigmoid(self.sine_cosine_gate(inputs)),
                    learned * jax.nn.sigmoid(self.learned_gate(inputs)),
                ],
                axis=-1,
            )
        )
        pure_stage = jnp.concatenate([periodic, learned], axis=-1)
        return jnp.stack([task_gated, balanced, stage_dominant, pure_stage], axis=1)


def normalised_stage(task: jax.Array, stage: jax.Array, stage_counts: tuple[int, ...]) -> jax.Array:
    """Stage 0 -> 0.0 and the last stage of the task -> 1.0 (report, equation 15)."""
    last = np.maximum(np.asarray(stage_counts, dtype=np.float32) - 1.0, 1.0)
    return stage.astype(jnp.float32) / jnp.asarray(last)[task]


def valid_stages(task: jax.Array, stage_counts: tuple[int, ...], stages: int) -> jax.Array:
    """bool[B, stages]: True where the task has this stage."""
    return jnp.arange(stages)[None, :] < jnp.asarray(stage_counts)[task][:, None]
