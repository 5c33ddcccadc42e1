"""Rearranging arrays by named axes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.policy.weights.layout import Layout

NAMES = ("a", "b", "c", "d")


@st.composite
def groupings(draw: st.DrawFn, names: tuple[str, ...]) -> str:
    """The names in some order, some neighbours in one group."""
    order = list(draw(st.permutations(names)))
    text = []
    while order:
        size = draw(st.integers(1, len(order)))
        group, order = order[:size], order[size:]
        text.append(f"({' '.join(group)})" if size > 1 else group[0])
    return " ".join(text)


@given(
    left=groupings(NAMES),
    right=groupings(NAMES),
    sizes=st.tuples(*[st.integers(1, 4)] * len(NAMES)),
)
def test_every_layout_goes_there_and_back(left: str, right: str, sizes: tuple[int, ...]) -> None:
    layout = Layout.parse(f"{left} -> {right}")
    lengths = dict(zip(NAMES, sizes, strict=True))
    array = np.arange(np.prod(sizes)).reshape(layout.left.shape(lengths))
    (moved,) = layout.to_right([array], lengths)
    assert moved.shape == layout.right.shape(lengths)
    (back,) = layout.to_left([moved], lengths)
    np.testing.assert_array_equal(back, array)


def test_heads_side_by_side() -> None:
    """Gemma's queries: the head's index runs slower than the number within the head."""
    layout = Layout.parse("layers heads width head -> layers width (heads head)")
    sizes = {"layers": 2, "heads": 3, "width": 4, "head": 5}
    array = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
    (flat,) = layout.to_right([array], sizes)
    assert flat.shape == (2, 4, 15)
    assert flat[1, 2, 1 * 5 + 4] == array[1, 1, 2, 4]


def test_one_array_into_two_and_back() -> None:
    layout = Layout.parse("layers parts width -> parts layers width", 1, 2)
    sizes = {"layers": 3, "parts": 2, "width": 4}
    array = np.arange(24).reshape(3, 2, 4)
    gate, up = layout.to_right([array], sizes)
    np.testing.assert_array_equal(gate, array[:, 0])
    np.testing.assert_array_equal(up, array[:, 1])
    np.testing.assert_array_equal(layout.to_left([gate, up], sizes)[0], array)


@pytest.mark.parametrize(
    ("text", "arrays", "message"),
    [("a b -> a", 1, "the same axes"), ("a b -> b a", 2, "need 'parts' as the first axis")],
)
def test_layouts_that_cannot_be(text: str, arrays: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Layout.parse(text, arrays)
