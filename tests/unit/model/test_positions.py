from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth.model.positions import prefix_positions, suffix_start

validity = st.lists(st.booleans(), min_size=1, max_size=12)


@settings(deadline=None)
@given(validity)
def test_valid_tokens_are_counted_through(valid: list[bool]) -> None:
    mask = np.asarray([valid])
    positions = np.asarray(prefix_positions(jnp.asarray(mask), len(valid)))
    np.testing.assert_array_equal(positions[mask], np.arange(mask.sum()))


def test_all_valid_is_one_row() -> None:
    np.testing.assert_array_equal(prefix_positions(None, 4), [[0, 1, 2, 3]])


@settings(deadline=None)
@given(validity)
def test_actions_go_on_where_valid_tokens_end(valid: list[bool]) -> None:
    mask = jnp.asarray([valid])
    for training in (False, True):
        start = suffix_start(mask, len(valid), "valid", training)
        np.testing.assert_array_equal(start, [sum(valid)])


@settings(deadline=None)
@given(validity)
def test_static_positions_differ_in_training_only(valid: list[bool]) -> None:
    mask = jnp.asarray([valid])
    np.testing.assert_array_equal(suffix_start(mask, len(valid), "static", True), [len(valid)])
    np.testing.assert_array_equal(suffix_start(mask, len(valid), "static", False), [sum(valid)])


def test_without_a_mask_both_are_the_length() -> None:
    np.testing.assert_array_equal(suffix_start(None, 9, "valid", False), [9])
    np.testing.assert_array_equal(suffix_start(None, 9, "static", True), [9])
