from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hearth.model.masks import additive, block_mask


@given(st.lists(st.integers(0, 4), min_size=1, max_size=12))
def test_a_token_sees_its_block_and_those_before(blocks: list[int]) -> None:
    mask = block_mask(blocks)
    for query, own in enumerate(blocks):
        for key, other in enumerate(blocks):
            assert mask[query, key] == (other <= own)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=12))
def test_information_never_flows_back(blocks: list[int]) -> None:
    """However many layers: what a token can reach is no more than what it sees at once."""
    mask = block_mask(blocks)
    reach = np.linalg.matrix_power(mask.astype(int), 3) > 0
    np.testing.assert_array_equal(reach, mask)


def test_additive_closes_the_rest() -> None:
    np.testing.assert_array_equal(additive(np.asarray([True, False])), np.float32([0.0, -1e9]))
