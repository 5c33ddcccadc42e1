"""Instances: the same for the same seed, different otherwise, and spread wide enough."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth.simulation.household.instances import START_JITTER, sample_instance, start_noise
from hearth.simulation.household.tasks import LAYOUTS

from .scenes import environment, household

TASKS = sorted(LAYOUTS)


def flat(instance) -> np.ndarray:
    return np.concatenate([*instance.poses.values(), instance.base])


@given(st.sampled_from(TASKS), st.integers(0, 2**31), st.integers(0, 400))
def test_an_instance_is_a_function_of_seed_task_and_id(task: str, seed: int, instance: int):
    layout = LAYOUTS[task]
    first = flat(sample_instance(layout, seed, 3, instance, 0))
    assert np.array_equal(first, flat(sample_instance(layout, seed, 3, instance, 0)))
    for other in ((seed + 1, 3, instance, 0), (seed, 4, instance, 0), (seed, 3, instance + 1, 0)):
        assert not np.array_equal(first, flat(sample_instance(layout, *other)))


@given(st.sampled_from(TASKS), st.integers(0, 400))
def test_things_stay_within_their_ranges(task: str, instance: int):
    layout = LAYOUTS[task]
    sample = sample_instance(layout, 0, 0, instance, 0)
    for thing in layout.movable:
        shift = np.abs(sample.poses[thing.name][:2] - thing.position[:2])
        assert np.all(shift <= np.array(thing.jitter) + 1e-12)
    assert np.all(np.abs(sample.base - layout.start) <= START_JITTER)


def test_sheets_move_with_their_rack():
    layout = LAYOUTS["bringing_in_wood"]
    nominal = {thing.name: np.array(thing.position[:2]) for thing in layout.movable}
    sample = sample_instance(layout, 0, 0, 7, 0)
    shifts = [pose[:2] - nominal[name] for name, pose in sample.poses.items()]
    assert np.allclose(shifts, shifts[0]) and np.abs(shifts[0]).max() > 0


@pytest.mark.parametrize("task", ["turning_on_radio", "picking_up_trash"])
def test_blind_motion_cannot_know_where_things_are(task: str):
    layout = LAYOUTS[task]
    poses = [sample_instance(layout, 0, 0, instance, 0).poses for instance in range(60)]
    for thing in layout.movable:
        places = np.array([pose[thing.name][:2] for pose in poses])
        assert np.all(np.ptp(places, axis=0) > 0.17)


@pytest.mark.parametrize("task", TASKS)
def test_starts_are_valid_and_near(task: str):
    """Resetting checks overlap, rest, start conditions and contact; here: a few ids a split."""
    env = environment(task)
    for instance in (1, 57, 201, 301, 321):
        env.reset(instance)
        assert not any(
            literal.now for literal in env.goal_literals() if not literal.text.startswith("not")
        )
        assert not env.goals.unmet_start_conditions()
        base = env.robot.base_pose(env.data)[:2]
        for thing in env.layout.movable:
            assert np.linalg.norm(env.data.joint(thing.name).qpos[:2] - base) < 1.5


def test_start_noise_moves_the_arms_and_nothing_else():
    env = environment("picking_up_trash")
    env.reset(5)
    plain = env.data.qpos.copy()
    env.reset(5, start_noise_seed=1)
    noisy = env.data.qpos.copy()
    moved = np.flatnonzero(plain != noisy)
    robot = env.robot
    allowed = {*robot.trunk_qpos, *robot.arm_qpos["left"], *robot.arm_qpos["right"]}
    assert set(moved) <= allowed and len(moved) >= 14
    assert np.abs(plain - noisy).max() <= 0.09
    env.reset(5, start_noise_seed=2)
    assert not np.array_equal(noisy, env.data.qpos)


def test_no_noise_without_a_noise_seed():
    assert not start_noise(0, 1, 2, None).any()
    assert np.array_equal(start_noise(0, 1, 2, 3), start_noise(0, 1, 2, 3))


@pytest.mark.parametrize("task", TASKS)
def test_splits_of_the_benchmark_share_no_start(task: str):
    """All starts of all sets differ, those that a rejected one would give way to included."""
    benchmark, layout = household(), LAYOUTS[task]
    sizes = {split: len(benchmark.instances(split)) for split in benchmark.splits}
    assert sizes == {"train": 200, "validation": 20, "public": 10, "hidden": 10}
    ids = [item for split in benchmark.splits for item in benchmark.instances(split)]
    assert len(set(ids)) == 240, "an instance stands in two sets"
    samples = [
        sample_instance(layout, benchmark.seed, benchmark.task(task).index, item, attempt)
        for item in ids
        for attempt in range(3)
    ]
    for name in samples[0].poses:
        places = {tuple(sample.poses[name]) for sample in samples}
        assert len(places) == len(samples), f"{name} starts twice at one place"
    assert len({tuple(sample.base) for sample in samples}) == len(samples)
