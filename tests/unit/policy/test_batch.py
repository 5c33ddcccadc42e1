"""A batch of episodes acts as each episode would alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth.core.errors import ServingError
from hearth.core.sections import RuntimeSettings
from hearth.data.resize import resize_with_padding
from hearth.policy.batching import act_batch
from hearth.policy.bundle import Bundle
from hearth.policy.runner import PolicyRunner, Predictor, Request, Sampling
from hearth.policy.runtime import Policy

from .conftest import ImaginedRunner

PROPRIOCEPTION = "robot_r1::proprio"
RUNTIME = RuntimeSettings(flow_steps=2, actions_to_execute=3, actions_to_keep=2)
PADDED = 4


def episodes(observation: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """Observations of as many episodes: other pictures, states and tasks."""
    found = []
    for index in range(count):
        random = np.random.default_rng(index)
        one = {
            key: random.integers(0, 256, value.shape, dtype=np.uint8) if value.ndim == 3 else value
            for key, value in observation.items()
        }
        one[PROPRIOCEPTION] = observation[PROPRIOCEPTION] + random.normal(0, 0.05, 256)
        one["task_id"] = np.array([index % 2])
        found.append(one)
    return found


def request(runner: Predictor, observation: dict[str, Any], **changes: Any) -> Request:
    due = Policy(runner, RUNTIME.model_copy(update=changes), seed=0).prepare(observation)
    assert isinstance(due, Request)
    return due


def test_a_batch_is_what_each_episode_is_alone(
    runner: PolicyRunner, observation: dict[str, Any]
) -> None:
    """Within rounding when computed alone, bit for bit at the same padded size."""
    seen = episodes(observation, PADDED)
    together = [Policy(runner, RUNTIME, seed=7) for _ in seen]
    batched = np.stack([act_batch(together, seen, PADDED) for _ in range(8)])
    for place, one in enumerate(seen):
        padded = [Policy(runner, RUNTIME, seed=7)]
        same = [act_batch(padded, [one], PADDED)[0] for _ in range(8)]
        np.testing.assert_array_equal(batched[:, place], same)
        alone = Policy(runner, RUNTIME, seed=7)
        np.testing.assert_allclose(
            batched[:, place], [alone.act(one) for _ in range(8)], atol=1e-5, rtol=0
        )


def test_bfloat16_keeps_a_row_bit_for_bit_at_the_same_padded_size(
    bundle: Bundle, observation: dict[str, Any]
) -> None:
    """Where it rounds to 8 bits, the company still does not matter."""
    config = replace(bundle.config, compute_dtype="bfloat16")
    runner = PolicyRunner(replace(bundle, config=config))
    asked = [request(runner, one) for one in episodes(observation, PADDED)]
    together = runner.predict_batch(asked, PADDED)
    for one, row in zip(asked, together, strict=True):
        (alone,) = runner.predict_batch([one], PADDED)
        np.testing.assert_array_equal(alone.actions, row.actions)
        np.testing.assert_array_equal(alone.stage_logits, row.stage_logits)
    in_float32 = PolicyRunner(bundle).predict_batch(asked[:1], PADDED)[0]
    assert not np.array_equal(in_float32.actions, together[0].actions)


def test_native_images_are_what_resized_ones_are(
    runner: PolicyRunner, observation: dict[str, Any]
) -> None:
    """Resized in the compiled program, on the host, or beside rows that have the size already."""
    seen = episodes(observation, 2)
    random = np.random.default_rng(5)
    for one in seen:
        for camera in runner.bundle.benchmark.cameras.values():
            shape = (camera.height, camera.width, 4)
            one[camera.observation_key] = random.integers(0, 256, shape, dtype=np.uint8)
    native = [request(runner, one) for one in seen]
    small = [
        replace(each, images={
            name: resize_with_padding(image, runner.bundle.image_size)
            for name, image in each.images.items()
        })
        for each in native
    ]  # fmt: skip
    assert native[0].images["head"].shape[0] > small[0].images["head"].shape[0]
    expected = runner.predict_batch(small)
    for rows in (native, [native[0], small[1]]):
        for found, wanted in zip(runner.predict_batch(rows), expected, strict=True):
            np.testing.assert_allclose(found.actions, wanted.actions, atol=1e-5, rtol=0)


@settings(max_examples=10, deadline=None)
@given(order=st.permutations(range(PADDED)), offsets=st.lists(st.integers(0, 2), min_size=4,
                                                              max_size=4))  # fmt: skip
def test_neither_order_nor_company_matters(
    runner: PolicyRunner, fixed_observation: dict[str, Any], order: list[int], offsets: list[int]
) -> None:
    """Episodes that are at other steps, in any order, get the actions they get alone."""
    seen = episodes(fixed_observation, PADDED)
    policies = [Policy(runner, RUNTIME, seed=7) for _ in seen]
    for policy, one, offset in zip(policies, seen, offsets, strict=True):
        for _ in range(offset):
            act_batch([policy], [one], PADDED)
    found = np.stack([
        act_batch([policies[i] for i in order], [seen[i] for i in order], PADDED)
        for _ in range(4)
    ])  # fmt: skip
    for place, episode in enumerate(order):
        alone = [Policy(runner, RUNTIME, seed=7)]
        expected = [
            act_batch(alone, [seen[episode]], PADDED)[0] for _ in range(offsets[episode] + 4)
        ]
        np.testing.assert_array_equal(found[:, place], expected[offsets[episode] :])


def test_more_episodes_than_rows_take_turns(
    runner: PolicyRunner, observation: dict[str, Any]
) -> None:
    seen = episodes(observation, PADDED + 1)
    many = act_batch([Policy(runner, RUNTIME, seed=7) for _ in seen], seen, PADDED)
    last = act_batch([Policy(runner, RUNTIME, seed=7)], seen[-1:], PADDED)
    np.testing.assert_array_equal(many[-1], last[0])


def test_episodes_of_other_settings_are_predicted_apart(
    imagined: ImaginedRunner, observation: dict[str, Any]
) -> None:
    other = RUNTIME.model_copy(update={"flow_steps": 1})
    mixed = [Policy(imagined, runtime, seed=0) for runtime in (RUNTIME, other, RUNTIME)]
    actions = act_batch(mixed, [observation] * 3)
    assert [item.sampling.flow_steps for item in imagined.asked] == [2, 2, 1]
    np.testing.assert_array_equal(actions[0], actions[2])
    np.testing.assert_array_equal(actions[1], Policy(imagined, other, seed=0).act(observation))


def test_what_does_not_fit_in_a_batch_is_refused(
    runner: PolicyRunner, observation: dict[str, Any]
) -> None:
    one = request(runner, observation)
    assert runner.predict_batch([]) == []
    with pytest.raises(ServingError, match="3 requests do not fit in a batch of 2"):
        runner.predict_batch([one] * 3, 2)
    with pytest.raises(ServingError, match=r"sampled alike.*flow_steps=1"):
        runner.predict_batch([one, request(runner, observation, flow_steps=1)])


def test_noise_belongs_to_episode_and_prediction(
    runner: PolicyRunner, observation: dict[str, Any]
) -> None:
    one = request(runner, observation)
    later = Request(**{**one.__dict__, "index": 1})
    other = Request(**{**one.__dict__, "seed": one.seed + 1})
    first, again, second, third = runner.predict_batch([one, one, later, other], PADDED)
    np.testing.assert_allclose(first.actions, again.actions, atol=1e-6)
    for different in (second, third):
        assert np.abs(first.actions - different.actions).max() > 1e-3
    np.testing.assert_allclose(first.stage_logits, third.stage_logits, atol=1e-6)


def test_sampling_settings_come_from_the_runtime() -> None:
    assert Sampling.of(RUNTIME) == Sampling(flow_steps=2, keep=2)
    off = Sampling.of(RUNTIME.model_copy(update={"inpainting": False, "correlated_noise": False}))
    assert off == Sampling(flow_steps=2, keep=0, correlated_noise=False)
    public = {"inpainting_threshold": "time", "inpainting_large_correction": "batch"}
    rules = Sampling.of(RUNTIME.model_copy(update=public)).inpainting_rules
    assert (rules.threshold, rules.large_correction) == ("time", "batch")


def test_noise_is_correlated_only_where_wanted(
    runner: PolicyRunner, observation: dict[str, Any]
) -> None:
    one = request(runner, observation)
    free = request(runner, observation, correlated_noise=False)
    first, second = (runner.predict_batch([item], PADDED)[0] for item in (one, free))
    assert np.abs(first.actions - second.actions).max() > 1e-3
    np.testing.assert_allclose(first.stage_logits, second.stage_logits, atol=1e-6)
