from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hearth.core.errors import ServingError, SettingsError
from hearth.core.sections import RuntimeSettings
from hearth.policy.runner import PolicyRunner, Prediction
from hearth.policy.runtime import Policy

PROPRIOCEPTION = "robot_r1::proprio"
RUNTIME = RuntimeSettings(flow_steps=2, actions_to_execute=3, actions_to_keep=2)


def actions(policy: Policy, observation: dict[str, Any], count: int) -> np.ndarray:
    return np.stack([policy.act(observation) for _ in range(count)])


class Recorded:
    """Stands between a policy and its runner, and keeps what was asked and answered."""

    def __init__(self, runner: PolicyRunner, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[dict[str, Any]] = []
        self.stages: list[int] = []
        original = runner.predict

        def predict(images: Any, state: Any, task: int, stage: int, **options: Any) -> Prediction:
            self.asked.append({"task": task, "stage": stage, "state": state, **options})
            found = original(images, state, task, stage, **options)
            logits = np.zeros(15)
            logits[self.stages[len(self.asked) - 1] if self.stages else 0] = 1.0
            return Prediction(found.actions, logits)

        monkeypatch.setattr(runner, "predict", predict)


def test_a_new_chunk_every_so_many_steps(runner: PolicyRunner, observation: dict[str, Any]) -> None:
    policy = Policy(runner, RUNTIME, seed=0)
    first = policy.act(observation)
    assert first.dtype == np.float32 and first.shape == (23,)
    robot = runner.bundle.benchmark.robot
    assert (first >= robot.lower.astype(np.float32)).all()
    assert (first <= robot.upper.astype(np.float32)).all()
    counts = []
    for _ in range(6):
        policy.act(observation)
        counts.append(policy.predictions)
    assert counts == [1, 1, 2, 2, 2, 3]


def test_the_same_seed_acts_the_same_whatever_others_do(
    runner: PolicyRunner, observation: dict[str, Any]
) -> None:
    alone = actions(Policy(runner, RUNTIME, seed=4), observation, 7)
    policy, other = Policy(runner, RUNTIME, seed=4), Policy(runner, RUNTIME, seed=9)
    together = []
    for _ in range(7):
        other.act(observation)
        together.append(policy.act(observation))
    np.testing.assert_array_equal(alone, together)
    policy.reset()
    np.testing.assert_array_equal(alone, actions(policy, observation, 7))
    assert np.abs(alone - actions(Policy(runner, RUNTIME, seed=5), observation, 7)).max() > 0


def test_episodes_with_another_start_draw_other_noise(
    runner: PolicyRunner, observation: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = Recorded(runner, monkeypatch)
    policy = Policy(runner, RUNTIME, seed=0)
    policy.act(observation)
    moved = {**observation, PROPRIOCEPTION: observation[PROPRIOCEPTION] + 1e-3}
    policy.reset()
    policy.act(moved)
    assert recorded.asked[0]["seed"] != recorded.asked[1]["seed"]
    assert recorded.asked[0]["index"] == recorded.asked[1]["index"] == 0


def test_kept_actions_are_what_the_next_prediction_is_held_to(
    runner: PolicyRunner, observation: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = Recorded(runner, monkeypatch)
    policy = Policy(runner, RUNTIME, seed=0)
    actions(policy, observation, 3)
    assert recorded.asked[0]["kept"] is None and recorded.asked[0]["keep"] == 2
    moved = {**observation, PROPRIOCEPTION: observation[PROPRIOCEPTION].copy()}
    moved[PROPRIOCEPTION][158:165] += 0.1  # the left arm came 0.1 rad further
    policy.act(moved)
    kept = recorded.asked[1]["kept"]
    statistics, robot = runner.bundle.statistics, runner.bundle.benchmark.robot
    scale = statistics.chunk_std[:2]
    # Without the move the targets would be the old chunk's own normalised tail.
    policy.reset()
    recorded.asked.clear()
    actions(policy, observation, 4)
    still = recorded.asked[1]["kept"]
    np.testing.assert_allclose(
        (still - kept)[:, 7:14] * scale[:, 7:14], 0.1, atol=1e-4, err_msg=robot.name
    )
    others = [d for d in range(23) if not 7 <= d < 14]
    np.testing.assert_allclose(still[:, others], kept[:, others], atol=1e-5)


def test_inpainting_changes_the_prediction_only_when_on(
    runner: PolicyRunner, observation: dict[str, Any]
) -> None:
    off = RUNTIME.model_copy(update={"inpainting": False})
    on_actions = actions(Policy(runner, RUNTIME, seed=0), observation, 6)
    off_actions = actions(Policy(runner, off, seed=0), observation, 6)
    np.testing.assert_allclose(on_actions[:3], off_actions[:3], atol=1e-5)
    assert np.abs(on_actions[3:] - off_actions[3:]).max() > 1e-4


def test_voted_stages_reach_the_network_at_the_next_prediction(
    runner: PolicyRunner, observation: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = Recorded(runner, monkeypatch)
    recorded.stages = [1, 0, 1, 2, 2, 2, 2]
    policy = Policy(runner, RUNTIME.model_copy(update={"actions_to_execute": 1}), seed=0)
    seen = []
    for _ in range(7):
        policy.act(observation)
        seen.append(policy.stage)
    assert seen == [0, 0, 1, 1, 1, 2, 2]
    assert [item["stage"] for item in recorded.asked] == [0, 0, 0, 1, 1, 1, 2]
    policy.reset()
    assert policy.stage == 0


def test_a_hand_closed_on_nothing_is_opened(
    runner: PolicyRunner, observation: dict[str, Any]
) -> None:
    observation[PROPRIOCEPTION][193:195] = 0.0  # left gripper closed, which was never demonstrated
    out = actions(Policy(runner, RUNTIME, seed=0), observation, 3)
    assert (out[:, 14] == 1.0).all()
    np.testing.assert_allclose(out[:, 7:14], np.tile(observation[PROPRIOCEPTION][158:165], (3, 1)))
    without = RUNTIME.model_copy(update={"gripper_correction": False})
    assert (actions(Policy(runner, without, seed=0), observation, 3)[:, 14] != 1.0).any()


def test_tasks(runner: PolicyRunner, observation: dict[str, Any]) -> None:
    unnamed = {key: value for key, value in observation.items() if key != "task_id"}
    with pytest.raises(ServingError, match="started without a task"):
        Policy(runner, RUNTIME, seed=0).act(unnamed)
    named = Policy(runner, RUNTIME, seed=0).act(observation)
    fixed = Policy(runner, RUNTIME, seed=0, task="picking_up_trash").act(unnamed)
    np.testing.assert_array_equal(named, fixed)
    with pytest.raises(ServingError, match=r"not trained on task 17; it knows 0 .turning_on_radio"):
        Policy(runner, RUNTIME, seed=0).act({**observation, "task_id": np.array([17])})
    with pytest.raises(ServingError, match="not trained on 'bringing_water'"):
        Policy(runner, RUNTIME, seed=0, task="bringing_water")
    policy = Policy(runner, RUNTIME, seed=0)
    policy.act(observation)
    with pytest.raises(ServingError, match="task 0 in an episode of task 1"):
        policy.act({**observation, "task_id": np.array([0])})


def test_a_runtime_beyond_the_horizon_is_refused(runner: PolicyRunner) -> None:
    with pytest.raises(SettingsError, match="the horizon is 30"):
        Policy(runner, RuntimeSettings(actions_to_execute=29), seed=0)
