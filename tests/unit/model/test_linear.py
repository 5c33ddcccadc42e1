from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hearth.model.linear import Linear, gated_gelu, gelu, product


@pytest.mark.parametrize(("inputs", "outputs"), [(3, 7), (7, 3), (5, 5)])
def test_product_has_the_gradients_of_a_matrix_product(inputs: int, outputs: int) -> None:
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], (2, 4, inputs))
    kernel = jax.random.normal(keys[1], (inputs, outputs))
    weights = jax.random.normal(keys[2], (2, 4, outputs))
    ours = jax.grad(lambda x, k: jnp.sum(weights * product(x, k)), (0, 1))(x, kernel)
    plain = jax.grad(lambda x, k: jnp.sum(weights * (x @ k)), (0, 1))(x, kernel)
    np.testing.assert_allclose(product(x, kernel), x @ kernel, rtol=1e-6)
    for one, two in zip(ours, plain, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-5)


def test_gelu_has_the_librarys_values_and_slopes() -> None:
    x = jnp.linspace(-6.0, 6.0, 101)
    np.testing.assert_array_equal(gelu(x), jax.nn.gelu(x, approximate=True))
    slopes = _optimised_slopes(gelu, x)
    expected = _optimised_slopes(lambda x: jax.nn.gelu(x, approximate=True), x)
    np.testing.assert_allclose(slopes, expected, atol=2e-6)


def _optimised_slopes(function: Callable[[jax.Array], jax.Array], x: jax.Array) -> jax.Array:
    """Compiled as a user's training is, since the last places of tanh depend on it."""
    gradient = jax.grad(lambda x: jnp.sum(function(x)))
    return jax.jit(gradient, compiler_options={"xla_backend_optimization_level": 3})(x)


@pytest.mark.parametrize("use_bias", [True, False])
def test_linear_is_the_librarys_layer(use_bias: bool) -> None:
    ours = Linear(4, 6, use_bias=use_bias, rngs=nnx.Rngs(0))
    library = nnx.Linear(4, 6, use_bias=use_bias, rngs=nnx.Rngs(0))
    if use_bias:
        ours.bias[...] = library.bias[...] = jnp.arange(6.0)  # type: ignore[index]
    x = jax.random.normal(jax.random.key(1), (2, 3, 4))
    np.testing.assert_allclose(ours(x), library(x), atol=1e-6)


def test_gated_gelu_has_the_products_gradients() -> None:
    gate, up, weights = jax.random.normal(jax.random.key(2), (3, 64))
    plain = lambda g, u: jnp.sum(weights * jax.nn.gelu(g, approximate=True) * u)  # noqa: E731
    np.testing.assert_allclose(jnp.sum(weights * gated_gelu(gate, up)), plain(gate, up), rtol=1e-6)
    ours = jax.grad(lambda g, u: jnp.sum(weights * gated_gelu(g, u)), (0, 1))(gate, up)
    for one, two in zip(ours, jax.grad(plain, (0, 1))(gate, up), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-5)


def test_linear_computes_in_the_type_of_its_inputs() -> None:
    layer = Linear(4, 6, rngs=nnx.Rngs(0))
    outputs = layer(jnp.ones((2, 4), jnp.bfloat16))
    assert outputs.dtype == jnp.bfloat16 and layer.kernel.dtype == jnp.float32
