from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from tests.unit.model.conftest import QUICKLY_COMPILED, new_network

from hearth.core.errors import SettingsError
from hearth.model.configuration import ModelConfig
from hearth.model.masks import training_mask
from hearth.model.policy_network import PolicyNetwork


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
    if what == "fast_tokens":
        return {**batch, "fast_tokens": (batch["fast_tokens"] + 1) % 7}
    return {**batch, what: -batch[what]}


@pytest.mark.parametrize("what", ["state", "stage", "fast_tokens"])
def test_stage_logits_ignore(encode: Any, batch: dict[str, Any], what: str) -> None:
    logits = encode(batch, training=True).stage_logits
    other = encode(changed(batch, what), training=True).stage_logits
    np.testing.assert_array_equal(other, logits)


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


def test_the_mask_that_is_shown_is_the_one_that_the_network_uses(
    network: PolicyNetwork, batch: dict[str, Any]
) -> None:
    """Group by group, laid out again token by token."""
    length = batch["fast_tokens"].shape[1]
    whole = {**batch, "fast_token_mask": np.ones_like(batch["fast_token_mask"])}
    prefix = network.embed(whole, training=True)
    shown = training_mask(network.config, length)
    assert [group.name for group in shown.groups] == [
        "images", "task", "stage", "state", "FAST", "actions"
    ]  # fmt: skip
    layouts = {"all": np.ones, "none": np.zeros, "causal": lambda shape: np.tri(*shape)}
    counts = [group.tokens for group in shown.groups]
    mask = np.block(
        [
            [layouts[sight]((rows, columns)) for sight, columns in zip(row, counts, strict=True)]
            for row, rows in zip(shown.sees, counts, strict=True)
        ]
    ).astype(bool)
    tokens = prefix.tokens.shape[1]
    np.testing.assert_array_equal(mask[:tokens, :tokens], prefix.attention_mask[0])
    assert not mask[:tokens, tokens:].any() and mask[tokens:, tokens:].all()
    context = network.encode(whole, training=True).context
    read = context.keys.shape[2]  # the first of the prefix: FAST tokens are its last
    assert mask[tokens:, :read].all() and not mask[tokens:, read:tokens].any()


def test_fast_tokens_change_nothing_for_actions_and_stages(
    encode: Any, batch: dict[str, Any]
) -> None:
    trained, used = encode(batch, training=True), encode(batch)
    assert used.fast_logits is None and trained.fast_logits.shape == (4, 6, 7)
    np.testing.assert_allclose(trained.context.keys, used.context.keys, atol=1e-5)
    np.testing.assert_allclose(trained.context.values, used.context.values, atol=1e-5)
    np.testing.assert_allclose(trained.stage_logits, used.stage_logits, atol=1e-5)


def test_fast_logits_read_the_tokens_before_them_alone(encode: Any, batch: dict[str, Any]) -> None:
    batch["fast_token_mask"][:] = True
    before = encode(batch, training=True).fast_logits
    batch["fast_tokens"][:, 3] = (batch["fast_tokens"][:, 3] + 1) % 7
    after = encode(batch, training=True).fast_logits
    np.testing.assert_allclose(after[:, :4], before[:, :4], atol=1e-5)
    assert float(jnp.min(jnp.max(jnp.abs(after - before)[:, 4:], axis=-1))) > 1e-4


def test_stages_that_a_task_lacks_are_impossible(encode: Any, batch: dict[str, Any]) -> None:
    logits = np.asarray(encode(batch).stage_logits)
    assert logits.shape == (4, 15)
    probabilities = np.asarray(jax.nn.softmax(logits))
    for row, count in zip(probabilities, [3, 5, 5, 3], strict=True):
        assert not row[count:].any() and row[:count].all()


def test_a_missing_camera_is_not_read(encode: Any, velocity: Any, batch: dict[str, Any]) -> None:
    batch["image_mask"] = {"wrist": np.asarray([True, True, False, False])}
    noisy, time = jnp.asarray(batch["actions"])[:, None], jnp.full((4, 1), 0.5)
    one, two = encode(batch), encode(changed(batch, "one camera"))
    np.testing.assert_array_equal(one.stage_logits[2:], two.stage_logits[2:])
    difference = velocity(noisy, time, one) - velocity(noisy, time, two)
    assert not np.any(difference[2:])
    assert float(jnp.min(jnp.max(jnp.abs(difference[:2]), axis=(1, 2, 3)))) > 1e-4
    length = one.context.keys.shape[2]
    np.testing.assert_array_equal(one.context.start, [length, length, length - 4, length - 4])


def test_cameras_all_there_are_as_no_mask(encode: Any, batch: dict[str, Any]) -> None:
    plain = encode(batch).stage_logits
    everywhere = {name: np.ones(4, dtype=bool) for name in batch["images"]}
    masked = encode({**batch, "image_mask": everywhere}).stage_logits
    np.testing.assert_allclose(masked, plain, atol=1e-5)


def test_camera_order_is_that_of_the_configuration(encode: Any, batch: dict[str, Any]) -> None:
    swapped = dict(reversed(batch["images"].items()))
    logits = encode(batch).stage_logits
    other = encode({**batch, "images": swapped}).stage_logits
    np.testing.assert_array_equal(other, logits)


def test_all_rows_agree_with_the_chosen_ones(network: PolicyNetwork, batch: dict[str, Any]) -> None:
    @functools.partial(jax.jit, compiler_options=QUICKLY_COMPILED)
    def both(training_batch: dict[str, Any]) -> tuple[Any, Any]:
        tokens = network.embed(training_batch, training=True)
        whole = network.transform(tokens, all_rows=True)
        full = network.read(tokens, whole, training_batch["task"], training=True)
        return full, network.encode(training_batch, training=True)

    jax.tree.map(lambda one, two: np.testing.assert_allclose(one, two, atol=1e-5), *both(batch))


@pytest.mark.parametrize(
    "changes",
    [
        {"stage_input": False},
        {"kv_mixing": False},
        {"fast_loss_weight": 0.0},
        {"state_tokens": "continuous"},
        {"camera_table": False},
        {"padded_action_loss": True},
        {"compute_dtype": "bfloat16", "vision_trainable": False},
        {"scan_layers": False, "remat": "full"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_every_component_can_be_switched(
    config: ModelConfig, batch: dict[str, Any], changes: dict[str, Any]
) -> None:
    """Shapes only: each choice builds, encodes and predicts, and float32 comes out."""
    other = dataclasses.replace(config, **changes)
    noisy = jnp.zeros((4, 2, config.horizon, other.flow_width))

    def predict() -> tuple[jax.Array, jax.Array]:
        network = PolicyNetwork(other, nnx.Rngs(0))
        prefix = network.encode(batch, training=True)
        return network.velocity(noisy, jnp.ones((4, 2)), prefix), prefix.stage_logits

    velocity, logits = nnx.eval_shape(predict)
    assert velocity.shape == noisy.shape and logits.shape == (4, 15)
    assert velocity.dtype == logits.dtype == jnp.float32


def test_training_with_fast_needs_tokens(network: PolicyNetwork, batch: dict[str, Any]) -> None:
    del batch["fast_token_mask"]
    with pytest.raises(SettingsError, match="fast_token_mask"):
        network.encode(batch, training=True)


def test_holds_parameters_only_and_no_buffer_twice(config: ModelConfig) -> None:
    abstract = nnx.eval_shape(lambda: PolicyNetwork(config, nnx.Rngs(0)))
    assert not jax.tree.leaves(nnx.split(abstract, nnx.Param, ...)[2])
    leaves = jax.tree.leaves(new_network(config)[1])
    assert len({leaf.unsafe_buffer_pointer() for leaf in leaves}) == len(leaves)
    assert all(leaf.dtype == jnp.float32 for leaf in leaves)


def test_same_seed_same_parameters(config: ModelConfig) -> None:
    def leaves(seed: int) -> list[jax.Array]:
        return jax.tree.leaves(new_network(config, seed)[1])

    for one, two in zip(leaves(3), leaves(3), strict=True):
        np.testing.assert_array_equal(one, two)
    assert any(np.any(one != two) for one, two in zip(leaves(3), leaves(4), strict=True))
