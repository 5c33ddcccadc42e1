"""The environment's interface: observations, ends, reproducible frames, and its errors."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from hearth.core.errors import HearthError, SettingsError, SimulationError
from hearth.simulation.household import observation
from hearth.simulation.household.environment import HouseholdEnvironment
from hearth.simulation.household.tasks import LAYOUTS

from .scenes import environment, household, rest

SIZES = {"head": 64, "left_wrist": 48, "right_wrist": 48}
HEAD = "robot_r1::robot_r1:zed_link:Camera:0::rgb"
LEFT = "robot_r1::robot_r1:left_realsense_link:Camera:0::rgb"
RIGHT = "robot_r1::robot_r1:right_realsense_link:Camera:0::rgb"


@pytest.fixture(scope="module")
def seeing():
    env = HouseholdEnvironment("picking_up_trash", household(), SIZES)
    yield env
    env.close()


def actions(env, count: int) -> list[np.ndarray]:
    random = np.random.default_rng(3)
    return [rest(env) + random.uniform(-0.2, 0.2, 23) for _ in range(count)]


def recording(env, instance: int, count: int = 6) -> list[bytes]:
    frames = [env.reset(instance, start_noise_seed=4)]
    frames += [env.step(action).observation for action in actions(env, count)]
    return [frame[key].tobytes() for frame in frames for key in sorted(frame)]


def test_observations_have_the_official_keys(seeing):
    seen = seeing.reset(1)
    assert set(seen) == {
        HEAD,
        LEFT,
        RIGHT,
        "robot_r1::proprio",
        "robot_r1::cam_rel_poses",
        "task_id",
    }
    assert seen[HEAD].shape == (64, 64, 4) and seen[LEFT].shape == (48, 48, 4)
    assert seen[HEAD].dtype == np.uint8 and (seen[HEAD][..., 3] == 255).all()
    assert seen["robot_r1::proprio"].shape == (256,)
    assert seen["robot_r1::proprio"].dtype == np.float32
    assert seen["robot_r1::cam_rel_poses"].shape == (21,)
    assert seen["task_id"].dtype == np.int64 and seen["task_id"].tolist() == [1]


def test_head_camera_stands_above_the_base_and_sees_the_room_upright(seeing):
    seen = seeing.reset(1)
    head = seen["robot_r1::cam_rel_poses"][14:]
    assert 0.9 < head[2] < 1.6 and abs(head[1]) < 0.05
    assert np.linalg.norm(head[3:]) == pytest.approx(1.0, abs=1e-5)
    wall, floor = seen[HEAD][:6, :, :3].astype(float), seen[HEAD][34:44, 20:44, :3].astype(float)
    # Walls are pale; the parquet in front of the robot is brown.
    assert wall.mean() > floor.mean() and floor[..., 0].mean() > floor[..., 2].mean() + 30


def test_the_policy_state_is_the_start_posture(seeing):
    seen = seeing.reset(1)
    state = household().robot.state_from_proprioception(seen["robot_r1::proprio"])
    home = seeing.robot.home
    assert state[3:7] == pytest.approx(home.trunk, abs=1e-6)
    assert state[7:14] == pytest.approx(home.left_arm, abs=1e-6)
    assert state[14] == pytest.approx(1.0, abs=0.02)


def test_same_seed_and_actions_give_the_same_bytes(seeing):
    first = recording(seeing, 2)
    other = recording(seeing, 3)
    seeing.frame(64, 48)
    assert recording(seeing, 2) == first and other != first
    fresh = HouseholdEnvironment("picking_up_trash", household(), SIZES)
    assert recording(fresh, 2) == first
    fresh.close()


def test_steps_that_nobody_observes_change_nothing(seeing):
    observed = recording(seeing, 2)
    seeing.reset(2, start_noise_seed=4)
    *before, last = actions(seeing, 6)
    assert all(seeing.step(action, observe=False).observation == {} for action in before)
    found = seeing.step(last).observation
    assert [found[key].tobytes() for key in sorted(found)] == observed[-len(found) :]


def test_video_frames(seeing):
    seeing.reset(1)
    frame = seeing.frame(96, 64)
    assert frame.shape == (64, 96, 3) and frame.dtype == np.uint8 and frame.std() > 10
    assert seeing.frame(48, 48).shape == (48, 48, 3)


def test_without_cameras_nothing_is_rendered(monkeypatch):
    def refuse(*_):
        raise AssertionError("a renderer was made")

    monkeypatch.setattr(observation, "Renderer", refuse)
    env = HouseholdEnvironment("turning_on_radio", household(), {})
    assert set(env.reset(1)) == {"robot_r1::proprio", "robot_r1::cam_rel_poses", "task_id"}


def test_missing_graphics_say_what_to_install(monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "disable")
    with pytest.raises(SimulationError, match=r"libosmesa6.*libegl1"):
        HouseholdEnvironment("turning_on_radio", household(), {"head": 8})


def test_truncation_at_the_time_limit():
    env = HouseholdEnvironment("turning_on_radio", household(), None, time_limit=3)
    env.reset(1)
    ends = [env.step(rest(env)) for _ in range(3)]
    assert [end.truncated for end in ends] == [False, False, True]
    assert not any(end.terminated for end in ends)
    metrics = env.metrics()
    assert metrics["steps"] == metrics["time"]["simulator_steps"] == 3
    assert metrics["time"]["simulator_time"] == pytest.approx(0.1)
    assert metrics["time"]["normalized_time"] == pytest.approx(
        household().task("turning_on_radio").human_length_frames / 3
    )


def test_default_time_limit_is_the_benchmarks():
    env = environment("picking_up_trash")
    assert env.time_limit == household().time_limit("picking_up_trash")


def test_distance_is_what_the_base_drove():
    env = environment("turning_on_radio")
    env.reset(1)
    start = env.robot.base_pose(env.data)
    action = rest(env)
    action[0] = -0.5
    for _ in range(15):
        env.step(action)
    gone = np.linalg.norm((env.robot.base_pose(env.data) - start)[:2])
    distance = env.metrics()["agent_distance"]
    assert distance["base"] == pytest.approx(gone, rel=1e-3) and gone > 0.15
    assert distance["left"] == pytest.approx(gone, rel=0.2)


@pytest.mark.parametrize("task", sorted(LAYOUTS))
def test_only_contact_moves_things(task: str):
    """No weld, no attachment: the only equalities couple the fingers of a hand."""
    model = environment(task).model
    assert {int(kind) for kind in model.eq_type} == {int(mujoco.mjtEq.mjEQ_JOINT)}
    assert model.neq == 2 and model.nmocap == 0 and not model.jnt_actgravcomp.any()
    for thing in LAYOUTS[task].movable:
        assert model.body_gravcomp[model.body(thing.name).id] == 0


def test_errors_name_value_and_choices():
    with pytest.raises(SettingsError, match="turning_on_radio"):
        HouseholdEnvironment("turning_on_radoi", household(), None)
    with pytest.raises(SimulationError, match=r"unknown camera 'heda'.*head"):
        HouseholdEnvironment("turning_on_radio", household(), {"heda": 64})
    with pytest.raises(SimulationError, match="is 0"):
        HouseholdEnvironment("turning_on_radio", household(), {"head": 0})
    env = HouseholdEnvironment("turning_on_radio", household(), None)
    with pytest.raises(SimulationError, match="before reset"):
        env.step(rest(env))
    env.reset(1)
    with pytest.raises(HearthError, match="23 finite numbers"):
        env.step(np.zeros(7))
