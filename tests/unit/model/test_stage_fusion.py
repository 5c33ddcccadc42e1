from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from hearth.model.configuration import ModelConfig
from hearth.model.stage_fusion import StageFusion, normalised_stage, valid_stages

COUNTS = (3, 0, 5, 1)


def test_stages_span_zero_to_one_per_task() -> None:
    task = jnp.asarray([0, 0, 2, 2, 3])
    stage = jnp.asarray([0, 2, 1, 4, 0])
    np.testing.assert_allclose(normalised_stage(task, stage, COUNTS), [0, 1, 0.25, 1, 0])


def test_valid_stages_are_the_first_of_the_task() -> None:
    valid = np.asarray(valid_stages(jnp.asarray([0, 1, 2]), COUNTS, 15))
    assert valid.sum(axis=1).tolist() == [3, 0, 5]
    assert valid[0, 2] and not valid[0, 3]


def test_every_task_and_stage_has_its_own_row(config: ModelConfig) -> None:
    fusion = StageFusion(config, nnx.Rngs(0))
    pairs = [(task, stage) for task, n in enumerate(config.stage_counts) for stage in range(n)]
    task, stage = (jnp.asarray(column) for column in zip(*pairs, strict=True))
    embedding = jnp.ones((len(pairs), config.width))
    learned = np.asarray(fusion(embedding, task, stage))[:, 3, config.width // 2 :]
    np.testing.assert_array_equal(learned, fusion.stage_table.vectors[...])


def test_four_tokens_follow_the_report(config: ModelConfig) -> None:
    fusion = StageFusion(config, nnx.Rngs(0))
    embedding = jax.random.normal(jax.random.key(0), (2, config.width))
    tokens = fusion(embedding, jnp.asarray([0, 2]), jnp.asarray([1, 3]))
    inputs = jnp.concatenate([embedding, tokens[:, 3]], axis=-1)

    def linear(layer: nnx.Linear, x: jax.Array) -> jax.Array:
        return x @ layer.kernel[...] + layer.bias[...][None]  # type: ignore[index]

    gate = jax.nn.sigmoid(linear(fusion.task_gate, inputs))
    np.testing.assert_allclose(tokens[:, 0], embedding * gate, atol=1e-5)
    hidden = jax.nn.relu(linear(fusion.balanced_in, inputs))
    np.testing.assert_allclose(tokens[:, 1], linear(fusion.balanced_out, hidden), atol=1e-5)
    gates = [linear(gate, inputs) for gate in (fusion.sine_cosine_gate, fusion.learned_gate)]
    gated = tokens[:, 3] * jax.nn.sigmoid(jnp.concatenate(gates, axis=-1))
    np.testing.assert_allclose(tokens[:, 2], linear(fusion.stage_projection, gated), atol=1e-5)
