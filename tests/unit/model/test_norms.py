from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from hearth.model.norms import AdaptiveNorm, Norm, normalise


def test_normalise_has_unit_mean_square() -> None:
    x = normalise(3.0 * jax.random.normal(jax.random.key(0), (4, 16)))
    np.testing.assert_allclose(jnp.mean(jnp.square(x), axis=-1), jnp.ones(4), rtol=1e-4)


def test_half_precision_is_normalised_in_full() -> None:
    x = jnp.full((1, 4), 300.0, jnp.bfloat16)  # its square needs more than half precision's range
    assert normalise(x).dtype == jnp.float32
    assert Norm(4)(x).dtype == jnp.bfloat16


def test_the_stored_scale_is_a_difference_from_one() -> None:
    norm = Norm(4)
    x = jax.random.normal(jax.random.key(0), (2, 4))
    np.testing.assert_array_equal(norm(x), normalise(x))
    norm.scale[...] = jnp.full(4, 0.5)
    np.testing.assert_allclose(norm(x), 1.5 * normalise(x), rtol=1e-6)


def test_adaptive_norm_starts_plain_with_its_gate_as_asked() -> None:
    x = jax.random.normal(jax.random.key(0), (2, 3, 5, 4))
    condition = jax.random.normal(jax.random.key(1), (2, 3, 4))
    for start in (0.0, 1.0):
        normed, gate = AdaptiveNorm(4, start, nnx.Rngs(0))(x, condition)
        np.testing.assert_allclose(normed, normalise(x), rtol=1e-6)
        np.testing.assert_array_equal(gate, np.full((2, 3, 1, 4), start))


def test_adaptive_norm_reads_scale_shift_and_gate_in_this_order() -> None:
    norm = AdaptiveNorm(2, 0.0, nnx.Rngs(0))
    norm.modulation.bias[...] = jnp.asarray([1.0, 1.0, 2.0, 2.0, 3.0, 3.0])  # type: ignore[index]
    x = jax.random.normal(jax.random.key(0), (1, 3, 2))
    normed, gate = norm(x, jnp.zeros((1, 2)))
    np.testing.assert_allclose(normed, 2.0 * normalise(x) + 2.0, rtol=1e-5)
    np.testing.assert_array_equal(gate, np.full((1, 1, 2), 3.0))
