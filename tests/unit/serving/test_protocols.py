"""Real policies behind the server: both years' observations, chunks, and batches of clients."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from serving_fakes import served
from tests.unit.policy.conftest import (
    HORIZON,
    IMAGE_SIZE,
    ImaginedRunner,
    make_observation,
    make_parameters,
    make_statistics,
)
from websockets.sync.client import connect

from hearth.benchmark import Benchmark, load_benchmark
from hearth.core.sections import RuntimeSettings, ServingSettings
from hearth.policy import bundle as bundles
from hearth.policy.batching import act_batch
from hearth.policy.runner import PolicyRunner
from hearth.policy.runtime import Policy
from hearth.serving import wire
from hearth.serving.client import PolicyClient

RUNTIME = RuntimeSettings(flow_steps=2, actions_to_execute=6, actions_to_keep=2)
CLIENTS, STEPS = 6, 14


def make_bundle(name: str, folder: Any) -> bundles.Bundle:
    from dataclasses import replace

    from hearth.core.sections import ModelSettings
    from hearth.model import presets

    benchmark, model = load_benchmark(name), ModelSettings(flow_samples=2)
    config = presets.config(model, benchmark, IMAGE_SIZE, HORIZON)
    tasks = benchmark.task_names[:2]
    bundles.write(
        folder, config=config, model=model, tasks=tasks, benchmark=benchmark,
        statistics=replace(make_statistics(benchmark), tasks=tasks),
        parameters=make_parameters(config),
        provenance={"runtime": RUNTIME.model_dump(mode="json"), "run": "main"},
    )  # fmt: skip
    return bundles.load(folder)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> bundles.Bundle:
    return make_bundle("household", tmp_path_factory.mktemp("run") / "policy")


def official(benchmark: Benchmark, year: int) -> dict[str, np.ndarray]:
    """An observation as that year's evaluator sends it."""
    random = np.random.default_rng(3)
    images = {
        camera.observation_key: random.integers(0, 256, (224, 224, 4), dtype=np.uint8)
        for camera in benchmark.cameras.values()
    }
    proprioception = random.uniform(0.0, 0.04, benchmark.robot.proprioception_width)
    observation = {**images, benchmark.robot.proprioception_key: proprioception.astype("<f4")}
    if year == 2025:
        return {**observation, "task_id": np.array([1])}
    return {key: value[None] for key, value in observation.items()}


@pytest.mark.parametrize("year", [2025, 2026])
def test_both_years_observations_are_answered(year, tmp_path):
    bundle = make_bundle(f"behavior-{year}", tmp_path / "policy")
    task = None if year == 2025 else bundle.tasks[1]
    observation = official(bundle.benchmark, year)

    def make() -> Policy:
        return Policy(ImaginedRunner(bundle), RUNTIME, seed=5, task=task)

    expected = make()
    with served(make) as (port,), PolicyClient("127.0.0.1", port) as client:
        for _ in range(2):
            client.reset()
            expected.reset()
            for _ in range(STEPS):
                np.testing.assert_array_equal(client.act(observation), expected.act(observation))


def episodes(bundle: bundles.Bundle) -> list[dict[str, np.ndarray]]:
    found = []
    for number in range(CLIENTS):
        random = np.random.default_rng(number)
        one = make_observation(bundle.benchmark)
        for camera in bundle.benchmark.cameras.values():
            one[camera.observation_key] = random.integers(0, 256, (48, 64, 4), dtype=np.uint8)
        found.append({**one, "task_id": np.array([number % 2])})
    return found


def play_together(make: Callable[[], Policy], sizes: tuple[int, ...], seen: list) -> np.ndarray:
    """Actions [client, step, D] of clients that all play at once."""
    actions = np.zeros((len(seen), STEPS, 23), np.float32)
    settings = ServingSettings(batch_sizes=sizes, batch_window_milliseconds=20.0)
    with served(make, settings=settings) as (port,):

        def play(number: int) -> None:
            with PolicyClient("127.0.0.1", port) as client:
                client.reset()
                for step in range(STEPS):
                    actions[number, step] = client.act(seen[number])

        threads = [threading.Thread(target=play, args=(number,)) for number in range(len(seen))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return actions


def test_every_client_of_a_batch_gets_what_it_would_get_alone(bundle):
    """Bit for bit at one padded size, within rounding at several."""
    runner, seen = PolicyRunner(bundle), episodes(bundle)

    def make() -> Policy:
        return Policy(runner, RUNTIME, seed=7)

    alone = []
    for observation in seen:
        policy = [make()]
        alone.append([act_batch(policy, [observation], 8)[0] for _ in range(STEPS)])
    np.testing.assert_array_equal(play_together(make, (8,), seen), alone)
    np.testing.assert_allclose(play_together(make, (1, 4), seen), alone, atol=1e-5, rtol=0)


def ask(connection: Any, observation: dict, **more: object) -> dict[str, np.ndarray]:
    connection.send(wire.pack({**observation, **more}))
    return wire.unpack(connection.recv())


def told_step_by_step(bundle, observation: dict, steps: int) -> np.ndarray:
    alone = Policy(ImaginedRunner(bundle), RUNTIME, seed=5)
    return np.stack([alone.act(observation) for _ in range(steps)])


@pytest.mark.parametrize("size", [1, 2, 4, 6, 7])
def test_our_client_plans_what_it_would_be_told_step_by_step(bundle, size):
    observation = make_observation(bundle.benchmark)
    expected = told_step_by_step(bundle, observation, 24)
    with (
        served(lambda: Policy(ImaginedRunner(bundle), RUNTIME, seed=5)) as (port,),
        PolicyClient("127.0.0.1", port) as client,
    ):
        client.reset()
        found: list[np.ndarray] = []
        asked = 0
        while len(found) < 24:
            planned = client.plan(observation, size)
            assert len(planned) in (1, size)
            found.extend(planned)
            asked += 1
    np.testing.assert_array_equal(np.stack(found)[:24], expected)
    assert asked == {1: 24, 2: 12, 4: 12, 6: 4, 7: 24}[size]


@pytest.mark.parametrize("size", [2, 3, 4, 6, 7])
def test_chunks_are_the_same_actions_and_never_cross_a_prediction(bundle, size):
    """A client that replays chunks until one is left out, as the official one does."""
    observation = make_observation(bundle.benchmark)
    expected = told_step_by_step(bundle, observation, 24)
    with (
        served(lambda: Policy(ImaginedRunner(bundle), RUNTIME, seed=5)) as (port,),
        connect(f"ws://127.0.0.1:{port}", max_size=None, proxy=None) as connection,
    ):
        connection.recv()
        found: list[np.ndarray] = []
        chunks, wanted = 0, size
        while len(found) < 24:
            more = {"__action_chunk_size__": wanted} if wanted else {}
            answer = ask(connection, observation, **more)
            if "action_chunk" in answer:
                chunks += 1
                assert answer["action_chunk"].shape == (size, 23)
                np.testing.assert_array_equal(answer["action_chunk"][0], answer["action"])
                np.testing.assert_array_equal(answer["actions"], answer["action_chunk"])
                found.extend(answer["action_chunk"])
            else:
                wanted = 0
                assert answer["actions"].shape == (1, 23)
                found.append(answer["action"])
    np.testing.assert_array_equal(np.stack(found)[:24], expected)
    assert chunks == {2: 12, 3: 8, 4: 1, 6: 4, 7: 0}[size]
