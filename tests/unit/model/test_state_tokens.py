from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth.model.state_tokens import bin_edges, discretise

UNIT = ((-1.0, 1.0),)


def test_edges_of_the_unit_range_are_exact() -> None:
    np.testing.assert_array_equal(bin_edges(UNIT)[0], np.arange(-128, 128) / 128)


def test_reference_points() -> None:
    values = jnp.asarray([[-7.0], [-1.0], [-1e-9], [0.0], [0.9999], [1.0], [7.0]])
    bins = np.asarray(discretise(values, UNIT))[:, 0]
    np.testing.assert_array_equal(bins, [0, 0, 127, 128, 255, 255, 255])


@settings(deadline=None)
@given(
    low=st.floats(-5, 5),
    width=st.floats(0.125, 10),
    fractions=st.lists(st.floats(-1, 2), min_size=1, max_size=8),
)
def test_bins_are_those_of_digitize(low: float, width: float, fractions: list[float]) -> None:
    ranges = ((low, low + width),)
    values = np.asarray([[low + width * fraction] for fraction in fractions], np.float32)
    expected = np.clip(np.digitize(values[:, 0], bin_edges(ranges)[0]) - 1, 0, 255)
    np.testing.assert_array_equal(discretise(jnp.asarray(values), ranges)[:, 0], expected)


def test_every_dimension_has_its_own_range() -> None:
    bins = discretise(jnp.asarray([[1.0, 1.0]]), ((0.0, 2.0), (1.0, 2.0)))
    np.testing.assert_array_equal(bins, [[128, 0]])


def test_padding_reads_as_zero() -> None:
    np.testing.assert_array_equal(discretise(jnp.asarray([[0.5]]), UNIT * 3), [[192, 128, 128]])
