from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth.model.rotary import angles, radians, rotate


def test_radians_are_position_over_wavelength() -> None:
    table = radians(900, 8)
    wavelengths = 10_000 ** (np.arange(4) / 4)
    np.testing.assert_allclose(table[899], 899 / wavelengths, rtol=2e-7)


def test_position_zero_turns_nothing() -> None:
    x = jax.random.normal(jax.random.key(0), (2, 1, 3, 8))
    np.testing.assert_array_equal(rotate(x, angles(jnp.zeros((1, 1), int), 4, 8)), x)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50))
def test_products_depend_on_the_distance_alone(first: int, second: int, shift: int) -> None:
    key, other = jax.random.normal(jax.random.key(1), (2, 1, 1, 1, 16))

    def product(a: int, b: int) -> jax.Array:
        turned = [rotate(x, angles(jnp.asarray([[p]]), 128, 16)) for x, p in ((key, a), (other, b))]
        return jnp.sum(turned[0] * turned[1])

    np.testing.assert_allclose(
        product(first, second), product(first + shift, second + shift), atol=1e-4
    )


def test_lengths_stay() -> None:
    x = jax.random.normal(jax.random.key(2), (1, 5, 2, 8))
    turned = rotate(x, angles(jnp.arange(5)[None], 5, 8))
    np.testing.assert_allclose(
        jnp.linalg.norm(turned, axis=-1), jnp.linalg.norm(x, axis=-1), rtol=1e-5
    )
    assert float(jnp.max(jnp.abs(turned[:, 1:] - x[:, 1:]))) > 0.1
