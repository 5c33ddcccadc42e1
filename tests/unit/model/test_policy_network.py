from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hearth.benchmark.benchmark import load_benchmark
from hearth.core.sections import ModelSettings
from hearth.model import presets
from hearth.model.policy_network import PolicyNetwork
from hearth.model.presets import ModelConfig
from hearth.model.stage_fusion import FUSION_TOKENS


def changed(batch: dict[str, Any], what: str) -> dict[str, Any]:
    """The batch with one input different in every sample."""
    if what == "images":
        return {**batch, "images": {k: 255 - v for k, v in batch["images"].items()}}
    if what == "one camera":
        return {**batch, "images": {**batch["images"], "wrist": 255 - batch["images"]["wrist"]}}
    if what == "task":
        return {**batch, "task": 2 - batch["task"]}
    if what == "stage":
        return {**batch, "stage": (batch["stage"] + 1) % 3}
    return {**batch, what: batch[what] + 3.0}


@pytest.mark.parametrize("what", ["state", "stage"])
def test_stage_logits_ignore(encode: Any, batch: dict[str, Any], what: str) -> None:
    logits = encode(batch).stage_logits
    np.testing.assert_array_equal(encode(changed(batch, what)).stage_logits, logits)


@pytest.mark.parametrize("what", ["images", "one camera", "task"])
def test_stage_logits_read(encode: Any, batch: dict[str, Any], what: str) -> None:
    logits = np.asarray(encode(batch).stage_logits)[:, :3]
    other = np.asarray(encode(changed(batch, what)).stage_logits)[:, :3]
    assert np.abs(other - logits).max(axis=1).min() > 1e-4


@pytest.mark.parametrize("what", ["state", "stage", "images", "one camera", "task"])
def test_velocity_reads(encode: Any, velocity: Any, batch: dict[str, Any], what: str) -> None:
    noisy, time = jnp.asarray(batch["actions"])[:, None], jnp.full((4, 1), 0.5)
    one, two = (velocity(noisy, time, encode(b)) for b in (batch, changed(batch, what)))
    assert float(jnp.min(jnp.max(jnp.abs(one - two), axis=(1, 2, 3)))) > 1e-4


def test_stages_that_a_task_lacks_are_impossible(encode: Any, batch: dict[str, Any]) -> None:
    logits = np.asarray(encode(batch).stage_logits)
    assert logits.shape == (4, 15)
    probabilities = np.asarray(jax.nn.softmax(logits))
    for row, count in zip(probabilities, [3, 5, 5, 3], strict=True):
        assert not row[count:].any() and row[:count].all()


def test_mask_separates_the_blocks(config: ModelConfig, network: PolicyNetwork) -> None:
    reliable = config.image_tokens + 1
    mask = network.mask
    assert mask.shape == (reliable + FUSION_TOKENS + 1,) * 2
    assert mask[:reliable, :reliable].all() and not mask[:reliable, reliable:].any()
    assert mask[reliable:].all()


def test_camera_order_is_that_of_the_configuration(encode: Any, batch: dict[str, Any]) -> None:
    swapped = dict(reversed(batch["images"].items()))
    logits = encode(batch).stage_logits
    other = encode({**batch, "images": swapped}).stage_logits
    np.testing.assert_array_equal(other, logits)


def test_holds_parameters_only_and_no_buffer_twice(config: ModelConfig) -> None:
    network = PolicyNetwork(config, nnx.Rngs(0))
    graph, parameters, rest = nnx.split(network, nnx.Param, ...)
    del graph
    assert not jax.tree.leaves(rest)
    leaves = jax.tree.leaves(parameters)
    assert len({leaf.unsafe_buffer_pointer() for leaf in leaves}) == len(leaves)
    assert all(leaf.dtype == jnp.float32 for leaf in leaves)


def test_same_seed_same_parameters(config: ModelConfig) -> None:
    def leaves(seed: int) -> list[jax.Array]:
        return jax.tree.leaves(nnx.state(PolicyNetwork(config, nnx.Rngs(seed)), nnx.Param))

    for one, two in zip(leaves(3), leaves(3), strict=True):
        np.testing.assert_array_equal(one, two)
    assert any(np.any(one != two) for one, two in zip(leaves(3), leaves(4), strict=True))


def test_tiny_stays_tiny() -> None:
    settings = ModelSettings(preset="tiny", flow_samples=2)
    config = presets.config(settings, load_benchmark("household"), 64, horizon=30)
    network = nnx.eval_shape(lambda: PolicyNetwork(config, nnx.Rngs(0)))
    count = sum(leaf.size for leaf in jax.tree.leaves(nnx.state(network, nnx.Param)))
    assert 600_000 < count < 800_000
