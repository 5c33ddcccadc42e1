from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth.model.configuration import ModelConfig
from hearth.model.masks import (
    attention_mask,
    block_mask,
    prefix_blocks,
    training_mask,
    valid_tokens,
)

blocks_of_any_kind = st.lists(st.integers(0, 4), min_size=1, max_size=12)


@settings(deadline=None)
@given(blocks_of_any_kind)
def test_a_token_sees_its_block_and_those_before(blocks: list[int]) -> None:
    mask = block_mask(blocks)
    for query, own in enumerate(blocks):
        for key, other in enumerate(blocks):
            assert mask[query, key] == (other <= own)


@settings(deadline=None)
@given(blocks_of_any_kind)
def test_information_never_flows_back(blocks: list[int]) -> None:
    """However many layers: what a token can reach is no more than what it sees at once."""
    mask = block_mask(blocks)
    reach = np.linalg.matrix_power(mask.astype(int), 3) > 0
    np.testing.assert_array_equal(reach, mask)


@settings(deadline=None)
@given(
    image_size=st.sampled_from([8, 16, 24]),
    cameras=st.integers(1, 3),
    state_tokens=st.sampled_from(["continuous", "discretised"]),
    stage_input=st.booleans(),
    fast_length=st.integers(0, 5),
)
def test_images_and_task_see_nothing_that_can_be_wrong(
    image_size: int, cameras: int, state_tokens: str, stage_input: bool, fast_length: int
) -> None:
    config = sizes(image_size, cameras, state_tokens, stage_input)
    mask = block_mask(prefix_blocks(config, fast_length))
    reliable = config.image_tokens + 1
    fused = reliable + 4 * stage_input + (1 if state_tokens == "continuous" else 4)
    assert mask.shape == (fused + fast_length,) * 2
    assert mask[:reliable, :reliable].all() and not mask[:reliable, reliable:].any()
    # Stage and state see each other and what is reliable, but no FAST token.
    assert mask[reliable:fused, :fused].all() and not mask[reliable:fused, fused:].any()
    # FAST tokens see everything before them, and of themselves the past.
    assert mask[fused:, :fused].all()
    np.testing.assert_array_equal(mask[fused:, fused:], np.tri(fast_length, dtype=bool))


@settings(deadline=None)
@given(
    image_size=st.sampled_from([8, 16]),
    cameras=st.integers(1, 3),
    state_tokens=st.sampled_from(["continuous", "discretised"]),
    stage_input=st.booleans(),
    fast_length=st.integers(1, 5),
)
def test_fast_and_actions_never_see_each_other(
    image_size: int, cameras: int, state_tokens: str, stage_input: bool, fast_length: int
) -> None:
    shown = training_mask(sizes(image_size, cameras, state_tokens, stage_input), fast_length)
    names = [group.name for group in shown.groups]
    sees = {
        (query, key): sight != "none"
        for query, row in zip(names, shown.sees, strict=True)
        for key, sight in zip(names, row, strict=True)
    }
    assert not sees["FAST", "actions"] and not sees["actions", "FAST"]
    # Nothing but actions reads actions, and they read everything else.
    assert [name for name in names if sees[name, "actions"]] == ["actions"]
    assert [name for name in names if not sees["actions", name]] == ["FAST"]


def sizes(image_size: int, cameras: int, state_tokens: str, stage_input: bool) -> ModelConfig:
    values = dict.fromkeys((field.name for field in dataclasses.fields(ModelConfig)), 1)
    values |= {
        "image_size": image_size,
        "patch_size": 8,
        "cameras": tuple(f"camera{index}" for index in range(cameras)),
        "action_width": 4,
        "padded_action_width": 4,
        "width": 8, "vision_width": 8, "expert_width": 8, "head_width": 8,
        "state_tokens": state_tokens,
        "state_ranges": ((-1.0, 1.0),) * 4,
        "stage_input": stage_input,
    }  # fmt: skip
    return ModelConfig(**values)  # type: ignore[arg-type]


def test_nothing_is_masked_without_masks(config: ModelConfig) -> None:
    assert valid_tokens(config, None, None) is None


def test_a_missing_camera_takes_its_tokens_along(config: ModelConfig) -> None:
    present = {"wrist": jnp.asarray([True, False])}
    valid = np.asarray(valid_tokens(config, present, None))
    per_camera = config.tokens_per_camera
    assert valid[0].all()
    wrist = slice(per_camera, 2 * per_camera)
    assert not valid[1, wrist].any()
    assert valid[1, :per_camera].all() and valid[1, 2 * per_camera :].all()


def test_fast_padding_is_not_valid(config: ModelConfig) -> None:
    fast = jnp.asarray([[True, True, False]])
    valid = np.asarray(valid_tokens(config, None, fast))
    assert valid.shape == (1, len(prefix_blocks(config, 3)))
    np.testing.assert_array_equal(valid[0, -3:], [True, True, False])


def test_invalid_tokens_neither_see_nor_are_seen() -> None:
    valid = jnp.asarray([[True, False, True], [True, True, True]])
    mask = np.asarray(attention_mask([0, 0, 1], valid))
    assert not mask[0, 1].any() and not mask[0, :, 1].any()
    np.testing.assert_array_equal(mask[1], block_mask([0, 0, 1]))


@pytest.mark.parametrize("blocks", [[0, 1], [0, 0, 2]])
def test_one_mask_serves_all_samples_without_masks(blocks: list[int]) -> None:
    np.testing.assert_array_equal(attention_mask(blocks, None)[0], block_mask(blocks))
