"""The server tells our own client of its predictions, and nobody else."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from serving_fakes import FakePolicy, served
from tests.unit.policy.conftest import ImaginedRunner, make_observation
from tests.unit.serving.test_protocols import make_bundle
from websockets.sync.client import connect

from hearth.core.sections import RuntimeSettings
from hearth.policy.runtime import Policy
from hearth.serving import wire
from hearth.serving.access import Access
from hearth.serving.client import PolicyClient

RUNTIME = RuntimeSettings(flow_steps=2, actions_to_execute=6, actions_to_keep=2)
STEPS = 14


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return make_bundle("household", tmp_path_factory.mktemp("run") / "policy")


@pytest.mark.parametrize("ahead", [1, 3, 4])
def test_every_prediction_is_told_once_and_actions_are_the_same(bundle, ahead):
    observation = make_observation(bundle.benchmark)

    def make() -> Policy:
        return Policy(ImaginedRunner(bundle), RUNTIME, seed=5)

    alone, expected = make(), []
    actions = np.stack([alone.act(observation) for _ in range(STEPS)])
    told: list[tuple[int, dict]] = []
    with served(make) as (port,), PolicyClient("127.0.0.1", port) as client:
        steps: list[np.ndarray] = []
        client.on_prediction = lambda record: told.append((len(steps), record))
        client.reset()
        while len(steps) < STEPS:
            steps.extend(client.plan(observation, ahead))
    np.testing.assert_array_equal(np.stack(steps[:STEPS]), actions)
    assert [step for step, _ in told] == [0, 6, 12]
    again = make()
    for step in range(STEPS):
        again.act(observation)
        if step in (0, 6, 12):
            expected.append(again.record)
    for (_, record), wanted in zip(told, expected, strict=True):
        assert set(record) == set(wanted.as_map())
        np.testing.assert_array_equal(record["chunk"], wanted.chunk)
        np.testing.assert_array_equal(record["opened"], wanted.opened)
        assert record["voted_stage"] == wanted.voted_stage
        assert record["overlap_error"] == wanted.overlap_error


def test_clients_that_do_not_ask_get_what_they_got_before(bundle):
    observation = make_observation(bundle.benchmark)
    asked = {**observation, wire.RECORD_KEY: np.zeros((2, 2))}  # whatever it holds

    def make() -> Policy:
        return Policy(ImaginedRunner(bundle), RUNTIME, seed=5)

    with served(make) as (port,), connect(f"ws://127.0.0.1:{port}", max_size=None) as socket:
        socket.recv()
        answers = []
        for frame in (observation, asked):
            socket.send(wire.pack({"reset": True}))
            socket.send(wire.pack(frame))
            answers.append(wire.unpack(socket.recv()))
    assert set(answers[0]) == {"action", "actions", "server_timing"}
    assert set(answers[1]) == {*answers[0], wire.RECORD}
    np.testing.assert_array_equal(answers[0]["action"], answers[1]["action"])


def test_a_policy_without_records_is_served_all_the_same():
    told: list[dict] = []
    with served(FakePolicy) as (port,), PolicyClient("127.0.0.1", port) as client:
        client.on_prediction = told.append
        client.reset()
        assert client.plan({"task_id": np.array([3])}, 4)[0][0] == 3
    assert told == []


@pytest.mark.parametrize("ahead", [1, 3])
def test_files_hold_what_a_port_was_told_an_episode_each(bundle, tmp_path, ahead, capfd):
    observation = make_observation(bundle.benchmark)
    told: list[dict] = []
    options = {"access": Access(None, one_evaluator_per_port=True), "predictions": tmp_path}

    def make() -> Policy:
        return Policy(ImaginedRunner(bundle), RUNTIME, seed=5)

    with served(make, **options) as (port,), PolicyClient("127.0.0.1", port) as client:
        for number in (1, 2):
            client.on_prediction = told.append if number == 1 else None
            client.reset()
            client.reset()  # before an episode that never begins there is no file
            steps = 0
            while steps < STEPS:
                steps += len(client.plan(observation, ahead))
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            f"{port}_2.jsonl", f"{port}_4.jsonl"
        ]  # fmt: skip
        first, second = (
            [json.loads(line) for line in (tmp_path / f"{port}_{n}.jsonl").read_text().splitlines()]
            for n in (2, 4)
        )
        assert first == second and [line["step"] for line in first] == [0, 6, 12]
        for line, record in zip(first, told, strict=True):
            assert set(line) == {"step", *record}
            np.testing.assert_allclose(line["chunk"], record["chunk"], atol=1e-6)
            assert line["opened"] == record["opened"].tolist()
        # A folder that went away costs the files and not the episode.
        shutil.rmtree(tmp_path)
        client.reset()
        assert len(client.plan(observation, ahead)) == ahead
    assert "no predictions in" in capfd.readouterr().out
