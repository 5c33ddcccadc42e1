from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hearth.core.errors import SettingsError
from hearth.model.configuration import ModelConfig
from hearth.model.fast_tokens import FastTargets, FastTokens, shift_right, special_ids, targets_of

TARGETS = FastTargets(
    jnp.asarray([[3, 4, 5], [6, 0, 0]]), jnp.asarray([[True, True, True], [True, False, False]])
)


def test_every_position_reads_the_token_before_it() -> None:
    tokens, mask = shift_right(TARGETS, beginning=7, padding=8)
    np.testing.assert_array_equal(tokens, [[7, 3, 4], [7, 6, 8]])
    np.testing.assert_array_equal(mask, [[True, True, True], [True, True, False]])


def test_ids_of_its_own_lie_beyond_the_vocabulary(config: ModelConfig) -> None:
    assert special_ids(config) == (7, 8)
    assert FastTokens(config, nnx.Rngs(0)).table.rows == 9


def test_the_public_ids_are_token_zero(config: ModelConfig) -> None:
    public = dataclasses.replace(config, fast_own_ids=False)
    assert special_ids(public) == (0, 0)
    assert FastTokens(public, nnx.Rngs(0)).table.rows == 7


def test_a_batch_without_tokens_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"fast_loss_weight.*no fast_token_mask"):
        targets_of({"fast_tokens": np.zeros((1, 2), np.int32)})
