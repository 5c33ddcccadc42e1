from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from flax import nnx

from hearth.model.embeddings import Table, sine_cosine


def test_table_returns_its_rows() -> None:
    table = Table(5, 3, nnx.Rngs(0))
    rows = np.asarray(table(jnp.asarray([[4, 0], [2, 2]])))
    vectors = np.asarray(table.vectors[...])
    np.testing.assert_array_equal(rows, vectors[[[4, 0], [2, 2]]])


def test_table_is_zero_outside() -> None:
    table = Table(5, 3, nnx.Rngs(0))
    assert not np.any(table(jnp.asarray([5, -1])))


def test_table_can_look_at_its_first_rows_only() -> None:
    table = Table(5, 3, nnx.Rngs(0))
    index = jnp.asarray([1, 4])
    found = np.asarray(table(index, 2))
    np.testing.assert_array_equal(found[0], table.vectors[1])
    assert not found[1].any()


def test_sine_cosine_periods() -> None:
    encoded = np.asarray(sine_cosine(jnp.asarray([0.0, 0.25, 1.0]), 4, 0.5, 1.0))
    expected = [[0, 0, 1, 1], [0, 1, -1, 0], [0, 0, 1, 1]]
    np.testing.assert_allclose(encoded, expected, atol=1e-5)


def test_sine_cosine_tells_stages_apart() -> None:
    encoded = np.asarray(sine_cosine(jnp.linspace(0.0, 1.0, 15), 48, 1e-3, 1.0))
    distances = np.linalg.norm(encoded[:, None] - encoded[None], axis=-1)
    assert np.min(distances + 10.0 * np.eye(15)) > 0.5
