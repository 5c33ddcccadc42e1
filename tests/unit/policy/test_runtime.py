from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hearth.benchmark import Benchmark
from hearth.benchmark.benchmark import default_folder
from hearth.core.errors import ServingError, SettingsError
from hearth.core.sections import ReturnToStage, RuntimeSettings
from hearth.core.settings import load_settings
from hearth.evaluation.watch import _PolicyActor
from hearth.policy.bundle import Bundle
from hearth.policy.runner import PolicyRunner, Request
from hearth.policy.runtime import Policy

from .conftest import ImaginedRunner

PROPRIOCEPTION = "robot_r1::proprio"
RUNTIME = RuntimeSettings(flow_steps=2, actions_to_execute=3, actions_to_keep=2)


def actions(policy: Policy, observation: dict[str, Any], count: int) -> np.ndarray:
    return np.stack([policy.act(observation) for _ in range(count)])


def test_a_new_chunk_every_so_many_steps(
    imagined: ImaginedRunner, observation: dict[str, Any]
) -> None:
    policy = Policy(imagined, RUNTIME, seed=0)
    first = policy.act(observation)
    assert first.dtype == np.float32 and first.shape == (23,)
    robot = imagined.bundle.benchmark.robot
    assert (first >= robot.lower.astype(np.float32)).all()
    assert (first <= robot.upper.astype(np.float32)).all()
    counts = []
    for _ in range(6):
        policy.act(observation)
        counts.append(policy.predictions)
    assert counts == [1, 1, 2, 2, 2, 3]


def test_the_same_seed_acts_the_same_whatever_others_do(
    imagined: ImaginedRunner, observation: dict[str, Any]
) -> None:
    alone = actions(Policy(imagined, RUNTIME, seed=4), observation, 7)
    policy, other = Policy(imagined, RUNTIME, seed=4), Policy(imagined, RUNTIME, seed=9)
    together = []
    for _ in range(7):
        other.act(observation)
        together.append(policy.act(observation))
    np.testing.assert_array_equal(alone, together)
    policy.reset()
    np.testing.assert_array_equal(alone, actions(policy, observation, 7))
    assert np.abs(alone - actions(Policy(imagined, RUNTIME, seed=5), observation, 7)).max() > 0


def test_episodes_with_another_start_draw_other_noise(
    imagined: ImaginedRunner, observation: dict[str, Any]
) -> None:
    policy = Policy(imagined, RUNTIME, seed=0)
    policy.act(observation)
    moved = {**observation, PROPRIOCEPTION: observation[PROPRIOCEPTION] + 1e-3}
    policy.reset()
    policy.act(moved)
    assert imagined.asked[0].seed != imagined.asked[1].seed
    assert imagined.asked[0].index == imagined.asked[1].index == 0


def test_kept_actions_are_what_the_next_prediction_is_held_to(
    imagined: ImaginedRunner, observation: dict[str, Any]
) -> None:
    policy = Policy(imagined, RUNTIME, seed=0)
    actions(policy, observation, 3)
    assert imagined.asked[0].kept is None and imagined.asked[0].sampling.keep == 2
    moved = {**observation, PROPRIOCEPTION: observation[PROPRIOCEPTION].copy()}
    moved[PROPRIOCEPTION][158:165] += 0.1  # the left arm came 0.1 rad further
    policy.act(moved)
    kept = imagined.asked[1].kept
    statistics, robot = imagined.bundle.statistics, imagined.bundle.benchmark.robot
    scale = statistics.chunk_std[:2]
    # Without the move the targets would be the old chunk's own normalised tail.
    policy.reset()
    imagined.asked.clear()
    actions(policy, observation, 4)
    still = imagined.asked[1].kept
    assert kept is not None and still is not None
    np.testing.assert_allclose(
        (still - kept)[:, 7:14] * scale[:, 7:14], 0.1, atol=1e-4, err_msg=robot.name
    )
    others = [d for d in range(23) if not 7 <= d < 14]
    np.testing.assert_allclose(still[:, others], kept[:, others], atol=1e-5)


def test_inpainting_changes_the_prediction_only_when_on(
    imagined: ImaginedRunner, observation: dict[str, Any]
) -> None:
    off = RUNTIME.model_copy(update={"inpainting": False})
    on_actions = actions(Policy(imagined, RUNTIME, seed=0), observation, 6)
    off_actions = actions(Policy(imagined, off, seed=0), observation, 6)
    np.testing.assert_allclose(on_actions[:3], off_actions[:3], atol=1e-5)
    assert np.abs(on_actions[3:] - off_actions[3:]).max() > 1e-4


@pytest.mark.parametrize(
    ("tracking", "after", "asked"),
    [
        ("vote", [0, 0, 1, 1, 1, 2, 2], [0, 0, 0, 1, 1, 1, 2]),
        ("latest", [1, 0, 1, 2, 2, 2, 2], [0, 1, 0, 1, 2, 2, 2]),
        ("fixed", [0] * 7, [0] * 7),
    ],
)
def test_tracked_stages_reach_the_network_at_the_next_prediction(
    bundle: Bundle, observation: dict[str, Any], tracking: str, after: list[int],
    asked: list[int],
) -> None:  # fmt: skip
    imagined = ImaginedRunner(bundle, stages=[1, 0, 1, 2, 2, 2, 2])
    update = {"actions_to_execute": 1, "stage_tracking": tracking}
    policy = Policy(imagined, RUNTIME.model_copy(update=update), seed=0)
    seen = []
    for _ in range(7):
        policy.act(observation)
        seen.append(policy.stage)
    assert seen == after
    assert [item.stage for item in imagined.asked] == asked
    policy.reset()
    assert policy.stage == 0


def test_a_task_rule_moves_the_stage_and_votes_begin_anew(
    bundle: Bundle, observation: dict[str, Any]
) -> None:
    rule = ReturnToStage(at=2, to=0)
    update = {"actions_to_execute": 1, "task_rules": {"picking_up_trash": (rule,)}}
    imagined = ImaginedRunner(bundle, stages=[1, 1, 1, 2, 2, 2, 1, 1, 1])
    policy = Policy(imagined, RUNTIME.model_copy(update=update), seed=0)
    seen = []
    for _ in range(9):
        policy.act(observation)
        seen.append(policy.stage)
    assert seen == [0, 0, 1, 1, 1, 0, 0, 0, 1]


def test_a_hand_closed_on_nothing_is_opened(
    imagined: ImaginedRunner, observation: dict[str, Any]
) -> None:
    observation[PROPRIOCEPTION][193:195] = 0.0  # left gripper closed, which was never demonstrated
    out = actions(Policy(imagined, RUNTIME, seed=0), observation, 3)
    assert (out[:, 14] == 1.0).all()
    np.testing.assert_allclose(out[:, 7:14], np.tile(observation[PROPRIOCEPTION][158:165], (3, 1)))
    without = RUNTIME.model_copy(update={"gripper_correction": False})
    assert (actions(Policy(imagined, without, seed=0), observation, 3)[:, 14] != 1.0).any()
    allowed = RUNTIME.model_copy(update={"gripper_closures": {"*": (0, 0)}})
    assert (actions(Policy(imagined, allowed, seed=0), observation, 3)[:, 14] != 1.0).any()


FASTER = {"compression": 1.5, "actions_to_execute": 6, "compression_gripper_span": None}


@pytest.mark.parametrize(
    ("base", "change"),
    [
        ({}, {"flow_steps": 3}),
        ({}, {"correlated_noise": False}),
        ({}, {"actions_to_execute": 2}),
        ({}, {"actions_to_keep": 3}),
        ({}, {"inpainting": False}),
        ({}, {"inpainting_threshold": "time"}),
        ({}, {"inpainting_large_correction": "batch"}),
        ({}, {"inpainting_padding": True}),
        ({"actions_to_execute": 6}, {"compression": 1.5}),
        (FASTER, {"scale_base_velocity": False}),
        (FASTER, {"compression_gripper_span": 0.0}),
        ({}, {"clip_actions": False}),
    ],
    ids=str,
)
def test_every_component_is_a_setting(
    imagined: ImaginedRunner, observation: dict[str, Any], base: dict[str, Any],
    change: dict[str, Any],
) -> None:  # fmt: skip
    """Each key by itself changes what is done: an ablation is a name in the configuration."""
    observation[PROPRIOCEPTION][158:165] = 4.0  # beyond the left arm's limits
    before = RuntimeSettings(**{**RUNTIME.model_dump(), **base})
    after = RuntimeSettings(**{**before.model_dump(), **change})
    one = actions(Policy(imagined, before, seed=0), observation, 12)
    other = actions(Policy(imagined, after, seed=0), observation, 12)
    assert np.abs(one - other).max() > 1e-4


def test_the_network_follows_what_was_kept(
    runner: PolicyRunner, observation: dict[str, Any]
) -> None:
    """Through the real network: inpainting starts the next chunk nearer to the kept actions."""
    policy = Policy(runner, RUNTIME, seed=0)
    assert np.isfinite(actions(policy, observation, 3)).all()
    held = policy.prepare(observation)
    assert isinstance(held, Request) and held.kept is not None
    free = dataclasses.replace(held, kept=None)
    distances = [
        np.abs(runner.predict_batch([item])[0].actions[:2] - held.kept).mean()
        for item in (held, free)
    ]
    assert distances[0] < 0.5 * distances[1]


def test_the_halves_of_act(imagined: ImaginedRunner, observation: dict[str, Any]) -> None:
    whole, halves = Policy(imagined, RUNTIME, seed=0), Policy(imagined, RUNTIME, seed=0)
    expected = actions(whole, observation, 7)
    found = []
    for _ in range(7):
        due = halves.prepare(observation)
        if isinstance(due, Request):
            again = halves.prepare(observation)  # asking twice changes nothing
            assert isinstance(again, Request)
            assert (again.seed, again.index) == (due.seed, due.index)
            due = halves.finish(imagined.predict_batch([again])[0])
        found.append(due)
    np.testing.assert_array_equal(found, expected)
    with pytest.raises(ServingError, match="no observation of this episode asked for"):
        halves.finish(imagined.predict_batch([again])[0])


def test_tasks(imagined: ImaginedRunner, observation: dict[str, Any]) -> None:
    unnamed = {key: value for key, value in observation.items() if key != "task_id"}
    with pytest.raises(ServingError, match="started without a task"):
        Policy(imagined, RUNTIME, seed=0).act(unnamed)
    named = Policy(imagined, RUNTIME, seed=0).act(observation)
    fixed = Policy(imagined, RUNTIME, seed=0, task="picking_up_trash").act(unnamed)
    np.testing.assert_array_equal(named, fixed)
    with pytest.raises(ServingError, match=r"not trained on task 17; it knows 0 .turning_on_radio"):
        Policy(imagined, RUNTIME, seed=0).act({**observation, "task_id": np.array([17])})
    with pytest.raises(ServingError, match="not trained on 'bringing_water'"):
        Policy(imagined, RUNTIME, seed=0, task="bringing_water")
    policy = Policy(imagined, RUNTIME, seed=0)
    policy.act(observation)
    with pytest.raises(ServingError, match="task 0 in an episode of task 1"):
        policy.act({**observation, "task_id": np.array([0])})


def test_a_runtime_beyond_the_horizon_is_refused(imagined: ImaginedRunner) -> None:
    with pytest.raises(SettingsError, match="the horizon is 30"):
        Policy(imagined, RuntimeSettings(actions_to_execute=29), seed=0)


def test_watching_follows_the_configuration_not_the_bundle(
    bundle_path: Path, benchmark_facts: Benchmark
) -> None:
    settings = load_settings(
        default_folder().parent / "demo.yaml", ["runtime={flow_steps: 3, actions_to_execute: 9}"]
    )
    actor = _PolicyActor(bundle_path, settings, benchmark_facts, "picking_up_trash")
    assert actor._policy.runtime == settings.runtime
    assert settings.runtime != actor._policy.bundle.runtime
