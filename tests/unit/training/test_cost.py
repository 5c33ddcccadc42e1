from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from hearth.core.errors import TrainingError
from hearth.training.cost import kept_bytes, operations, tree_bytes


def array(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def test_a_product_is_two_operations_per_multiplication() -> None:
    assert operations(lambda x, w: x @ w, array(3, 5), array(5, 7)) == 2 * 3 * 5 * 7


def test_batched_products_count_the_batch_once() -> None:
    count = operations(
        lambda q, k: jnp.einsum("bthd,bshd->bhts", q, k), array(2, 6, 4, 8), array(2, 9, 4, 8)
    )
    assert count == 2 * (2 * 4) * 6 * 9 * 8


def test_elementwise_work_is_not_counted() -> None:
    assert operations(lambda x: jnp.tanh(x) * x + jnp.sum(x), array(100, 100)) == 0


def test_a_scan_counts_every_turn() -> None:
    def run(x: jax.Array, weights: jax.Array) -> jax.Array:
        return jax.lax.scan(lambda carry, w: (carry @ w, None), x, weights)[0]

    assert operations(run, array(3, 4), array(11, 4, 4)) == 11 * 2 * 3 * 4 * 4
    assert operations(jax.jit(run), array(3, 4), array(11, 4, 4)) == 11 * 2 * 3 * 4 * 4


def test_a_loop_of_fixed_length_counts_every_turn() -> None:
    def run(x: jax.Array, w: jax.Array) -> jax.Array:
        return jax.lax.fori_loop(0, 20, lambda _, carry: carry @ w, x)

    assert operations(run, array(3, 4), array(4, 4)) == 20 * 2 * 3 * 4 * 4


def test_a_loop_of_unknown_length_is_refused_only_with_products() -> None:
    def run(x: jax.Array, w: jax.Array) -> jax.Array:
        return jax.lax.while_loop(lambda carry: carry.sum() < 1, lambda carry: carry @ w, x)

    def plain(x: jax.Array) -> jax.Array:
        return jax.lax.while_loop(lambda carry: carry.sum() < 1, lambda carry: carry + 1, x)

    with pytest.raises(TrainingError, match="loops of a fixed length"):
        operations(run, array(3, 4), array(4, 4))
    assert operations(plain, array(3)) == 0


def test_the_dearest_branch_counts() -> None:
    def run(x: jax.Array, w: jax.Array) -> jax.Array:
        return jax.lax.cond(x.sum() > 0, lambda: x @ w @ w, lambda: x @ w)

    assert operations(run, array(3, 4), array(4, 4)) == 2 * 2 * 3 * 4 * 4


def test_a_convolution_of_patches_equals_the_product_it_is() -> None:
    def patches(image: jax.Array, kernel: jax.Array) -> jax.Array:
        return jax.lax.conv_general_dilated(
            image, kernel, (14, 14), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    image, kernel = array(2, 56, 56, 3), array(14, 14, 3, 32)
    once = 2 * (2 * 4 * 4) * (14 * 14 * 3) * 32
    assert operations(patches, image, kernel) == once
    # Each of the two gradients costs what the forward pass costs.
    backward = jax.grad(lambda i, k: patches(i, k).sum(), argnums=(0, 1))
    assert operations(lambda i, k: backward(i, k), image, kernel) == 2 * once


def test_gradients_cost_twice_the_forward_pass() -> None:
    def loss(weights: list[jax.Array], x: jax.Array) -> jax.Array:
        for w in weights:
            x = jnp.tanh(x @ w)
        return x.sum()

    weights = [array(4, 6), array(6, 5)]
    first, second = 2 * 3 * 4 * 6, 2 * 3 * 6 * 5
    # Nobody asks for the gradient of the input, so the first layer has one product less.
    assert operations(jax.grad(loss), weights, array(3, 4)) == 2 * first + 3 * second


def test_frozen_weights_cost_no_gradient() -> None:
    def loss(weights: dict[str, jax.Array], x: jax.Array) -> jax.Array:
        features = jax.lax.stop_gradient(jnp.tanh(x @ weights["frozen"]))
        return (features @ weights["trained"]).sum()

    weights = {"frozen": array(4, 6), "trained": array(6, 5)}
    count = operations(jax.value_and_grad(loss), weights, array(3, 4))
    assert count == 2 * 3 * 4 * 6 + 2 * (2 * 3 * 6 * 5)


def two_layers(policy: Any) -> Callable[..., jax.Array]:
    def block(x: jax.Array, up: jax.Array, down: jax.Array) -> jax.Array:
        return jnp.tanh(x @ up) @ down

    def loss(weights: list[jax.Array], x: jax.Array) -> jax.Array:
        body = block if policy is None else jax.checkpoint(block, policy=policy)
        return jnp.sum(body(x, *weights) ** 2)

    return loss


def test_what_is_computed_again_is_counted_again() -> None:
    arguments = [array(4, 8), array(8, 4)], array(3, 4)
    up = down = 2 * 3 * 4 * 8
    plain = operations(jax.grad(two_layers(None)), *arguments)
    full = operations(
        jax.grad(two_layers(jax.checkpoint_policies.nothing_saveable)),
        *arguments,
    )
    saved = operations(
        jax.grad(two_layers(jax.checkpoint_policies.dots_saveable)),
        *arguments,
    )
    assert plain == saved == 2 * up + 3 * down
    assert full == plain + up, "the last product of a block is not needed for its gradient"


def test_kept_bytes_tell_remat_policies_apart() -> None:
    weights = [array(4, 8), array(8, 4)]

    def growth(policy: Any) -> int:
        """Bytes that one more row costs: weights that are kept do not count."""
        loss = two_layers(policy)
        few, many = (kept_bytes(loss, weights, array(rows, 4)) for rows in (3, 4))
        return many - few

    # Kept a row: the input (4 numbers), the hidden value or nothing (8), the output (4).
    assert growth(jax.checkpoint_policies.nothing_saveable) == 4 * (4 + 4)
    assert growth(jax.checkpoint_policies.dots_saveable) == 4 * (4 + 8 + 4)


def test_bytes_of_a_tree() -> None:
    tree = {"a": array(2, 3), "b": [jax.ShapeDtypeStruct((5,), jnp.bfloat16)]}
    assert tree_bytes(tree) == 2 * 3 * 4 + 5 * 2
