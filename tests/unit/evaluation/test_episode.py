"""One episode in this process: status, official keys, time limit, video and recording cost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from evaluation_fakes import FakeEnvironment

from hearth.core.errors import EvaluationError
from hearth.evaluation.episode import EpisodeJob, ServerActor, run_episode
from hearth.evaluation.video import video_file


class Counting:
    """Sends the actions that the stand-in environment expects; keeps what it was shown."""

    looks = True

    def reset(self, environment) -> None:
        self.count, self.tasks = 0, []

    def act(self, observation, environment) -> np.ndarray:
        self.tasks.append(observation["task_id"].tolist())
        self.count += 1
        return np.full(23, self.count - 1, np.float32)


def job(instance: int = 301, time_limit: int = 300, video_size: int | None = None) -> EpisodeJob:
    return EpisodeJob("turning_on_radio", instance, 0, 7, time_limit, 30, None, video_size)


@pytest.mark.parametrize(
    "instance, limit, status, steps",
    [(301, 300, "success", 6), (302, 300, "failure", 6), (302, 6, "timeout", 6),
     (301, 4, "timeout", 4), (301, 6, "success", 6)],
)  # fmt: skip
def test_status_tells_how_the_episode_ended(faults, instance, limit, status, steps):
    result = run_episode(FakeEnvironment(None), Counting(), job(instance, limit))
    assert result["status"] == status and result["steps"] == steps
    assert result["success"] == (status == "success")
    assert result["time"]["simulator_steps"] == steps


def test_the_actor_learns_the_task_and_every_step_is_reported(faults):
    actor, seen = Counting(), []
    run_episode(FakeEnvironment(None), actor, job(), on_step=seen.append)
    assert actor.tasks == [[7]] * 6 and seen == [1, 2, 3, 4, 5, 6]


class Planning:
    """A policy's client that plans three steps at once; keeps what it was shown."""

    def __init__(self) -> None:
        self.seen: list[set[str]] = []

    def reset(self) -> None:
        self.seen = []

    def plan(self, observation, count) -> np.ndarray:
        first = count * len(self.seen)
        self.seen.append(set(observation))
        return np.repeat(np.arange(first, first + count, dtype=np.float32)[:, None], 23, axis=1)


def test_nothing_is_observed_while_a_plan_is_carried_out(faults, monkeypatch):
    observed = []
    observe = FakeEnvironment._observation
    monkeypatch.setattr(
        FakeEnvironment, "_observation", lambda self: observed.append(self.steps) or observe(self)
    )
    client = Planning()
    result = run_episode(FakeEnvironment(None), ServerActor(client, steps_ahead=3), job())
    assert result["status"] == "success" and result["steps"] == 6
    assert observed[:2] == [0, 3] and 1 not in observed and 4 not in observed
    assert client.seen == [{"robot_r1::proprio", "task_id"}] * 2


def test_without_a_video_nothing_is_rendered(faults, tmp_path, monkeypatch):
    monkeypatch.setattr(FakeEnvironment, "frame", None)
    run_episode(FakeEnvironment(None), Counting(), job(), tmp_path / "no.mp4")
    assert not list(tmp_path.glob("*.mp4"))


def test_a_video_of_odd_size_is_made_even(faults, tmp_path):
    import av

    path = tmp_path / "x.mp4"
    run_episode(FakeEnvironment(None), Counting(), job(video_size=33), path)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.average_rate) == (34, 34, 6)
        assert stream.codec_context.name == "h264" and stream.pix_fmt == "yuv420p"


def test_the_same_frames_give_the_same_bytes(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    paths = [tmp_path / "a.mp4", tmp_path / "b.mp4"]
    for path in paths:
        with video_file(path, 32, 15) as video:
            for frame in noise:
                video.add(frame)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_video_that_fails_half_way_leaves_no_file(tmp_path: Path):
    with pytest.raises(ValueError, match="half way"), video_file(tmp_path / "x.mp4", 32, 15) as v:
        v.add(np.zeros((32, 32, 3), np.uint8))
        raise ValueError("half way")
    assert not list(tmp_path.iterdir())


def test_metrics_without_an_official_key_are_refused(faults, monkeypatch):
    monkeypatch.setattr(FakeEnvironment, "metrics", lambda self: {"q_score": {"final": 1.0}})
    with pytest.raises(EvaluationError, match="lack time, agent_distance"):
        run_episode(FakeEnvironment(None), Counting(), job())
