from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hearth.core.errors import SettingsError
from hearth.model.linear import Linear
from hearth.model.stacking import rematerialised, run, run_in_place, split_last, stack, take

LAYERS = 3


def layers() -> Linear:
    return stack(lambda rngs: Linear(4, 4, rngs=rngs), LAYERS, nnx.Rngs(0))


def step(layer: Linear, x: jax.Array, shift: jax.Array) -> tuple[jax.Array, jax.Array]:
    x = jnp.tanh(layer(x)) + shift
    return x, jnp.sum(x)


def test_every_layer_starts_differently() -> None:
    kernels = np.asarray(layers().kernel[...])
    assert kernels.shape == (LAYERS, 4, 4)
    assert len({kernel.tobytes() for kernel in kernels}) == LAYERS


@pytest.mark.parametrize("remat", ["none", "full"])
def test_loop_and_sequence_are_the_same_function(remat: str) -> None:
    """Values and gradients, with and without recomputation."""
    stacked, x, shifts = layers(), jnp.ones((2, 4)), jnp.arange(LAYERS, dtype=jnp.float32)
    graph, parameters = nnx.split(stacked)

    def loss(parameters: Any, scan: bool, remat: str) -> jax.Array:
        merged = nnx.merge(graph, parameters)
        last, sums = run(merged, step, x, shifts, scan=scan, remat=remat)
        return jnp.sum(last) + jnp.sum(sums * jnp.arange(1.0, LAYERS + 1))

    expected = jax.value_and_grad(loss)(parameters, False, "none")
    for scan in (False, True):
        value, gradient = jax.value_and_grad(loss)(parameters, scan, remat)
        np.testing.assert_allclose(value, expected[0], rtol=1e-6)
        jax.tree.map(
            lambda one, two: np.testing.assert_allclose(one, two, atol=1e-5), gradient, expected[1]
        )


def test_the_last_layer_comes_off() -> None:
    stacked = layers()
    first, last = split_last(stacked)
    assert first is not None
    np.testing.assert_array_equal(first.kernel[...], stacked.kernel[:-1])
    np.testing.assert_array_equal(last.kernel[...], stacked.kernel[-1])


def test_layers_that_stay_where_they_are_do_what_their_copies_do() -> None:
    stacked, x = layers(), jnp.ones((2, 4))

    def unshifted(layer: Linear, x: jax.Array, _: None) -> tuple[jax.Array, jax.Array]:
        return step(layer, x, jnp.zeros(()))

    first, last = split_last(stacked)
    assert first is not None
    expected = run(first, unshifted, x, scan=True, remat="none")
    found = run_in_place(stacked, unshifted, x, LAYERS - 1)
    jax.tree.map(np.testing.assert_array_equal, found, expected)
    np.testing.assert_array_equal(take(stacked, -1).kernel[...], last.kernel[...])


def test_nothing_is_left_of_a_single_layer() -> None:
    first, last = split_last(stack(lambda rngs: Linear(2, 2, rngs=rngs), 1, nnx.Rngs(0)))
    assert first is None and last.kernel.shape == (2, 2)


def test_unknown_remat_lists_the_choices() -> None:
    with pytest.raises(SettingsError, match=r"'ful'.*did you mean 'full'"):
        rematerialised(lambda x: x, "ful", in_loop=True)
