from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hearth.benchmark import Benchmark
from hearth.core.errors import ServingError
from hearth.policy.preprocess import fingerprint, read_observation, task_index

PROPRIOCEPTION = "robot_r1::proprio"


def test_images_lose_alpha_and_get_black_borders(
    benchmark_facts: Benchmark, observation: dict[str, np.ndarray]
) -> None:
    key = benchmark_facts.cameras["head"].observation_key
    observation[key] = np.full((48, 64, 4), (10, 20, 30, 255), dtype=np.uint8)
    image = read_observation(observation, benchmark_facts, 32).images["head"]
    assert image.shape == (32, 32, 3)
    assert (image[4:28] == (10, 20, 30)).all()
    assert not image[:4].any() and not image[28:].any()


def test_state_is_in_action_order(
    benchmark_facts: Benchmark, observation: dict[str, np.ndarray]
) -> None:
    proprioception = np.arange(256, dtype=np.float64)
    proprioception[193:195], proprioception[232:234] = 0.0, (0.04, 0.06)
    observation[PROPRIOCEPTION] = proprioception
    state = read_observation(observation, benchmark_facts, 32).state
    assert state.dtype == np.float32
    assert state[:8].tolist() == [253, 254, 255, 236, 237, 238, 239, 158]
    assert state[15] == 197
    assert state[[14, 22]] == pytest.approx([-1.0, 1.0])


def test_a_leading_axis_of_one_is_accepted(
    benchmark_facts: Benchmark, observation: dict[str, np.ndarray]
) -> None:
    batched = {key: value[None] for key, value in observation.items()}
    one = read_observation(observation, benchmark_facts, 32)
    other = read_observation(batched, benchmark_facts, 32)
    assert fingerprint(one) == fingerprint(other)
    np.testing.assert_array_equal(one.images["head"], other.images["head"])


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (PROPRIOCEPTION, np.zeros(61), "61 numbers.*sends 256"),
        (PROPRIOCEPTION, np.full(256, np.nan), "not finite"),
        (PROPRIOCEPTION, None, "lacks 'robot_r1::proprio'"),
        ("head", np.zeros((4, 4, 3), np.float32), "uint8.*float32"),
        ("head", np.zeros((4, 4), np.uint8), r"\[4, 4\]"),
    ],
)
def test_faults_are_named(
    key: str, value: Any, message: str, benchmark_facts: Benchmark,
    observation: dict[str, np.ndarray],
) -> None:  # fmt: skip
    key = benchmark_facts.cameras[key].observation_key if key == "head" else key
    if value is None:
        del observation[key]
    else:
        observation[key] = value
    with pytest.raises(ServingError, match=message):
        read_observation(observation, benchmark_facts, 32)


def test_the_observed_task_comes_before_the_fixed_one() -> None:
    assert task_index({"task_id": np.array([[3]])}, 1) == 3
    assert task_index({}, 1) == 1
    with pytest.raises(ServingError, match="started without a task"):
        task_index({}, None)
    with pytest.raises(ServingError, match="one number, not 2"):
        task_index({"task_id": [1, 2]}, None)
