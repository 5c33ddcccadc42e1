"""The second phase on made-up batches: whose weights it starts from, and what it measures."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from hearth.benchmark import load_benchmark
from hearth.core.errors import TrainingError, WeightsError
from hearth.core.files import read_json
from hearth.core.settings import Settings
from hearth.model import presets
from hearth.policy import bundle as bundles
from hearth.policy.network import NetworkDefinition
from hearth.training.branching import newest_of, read_acting
from hearth.training.checkpoint import Checkpoints
from hearth.training.imported import imported_state, report_path
from hearth.training.interrupt import Interrupt
from hearth.training.job import Job
from hearth.training.loop import fit
from hearth.training.measures import device_memory
from hearth.training.scalars import Scalars, read_lines
from hearth.training.sharding import make_mesh
from hearth.training.state import TrainState, initial_state
from hearth.training.trainer import Trainer
from hearth.training.watchdog import watchdog

from .conftest import HORIZON, IMAGE_SIZE, TASK, make_batch, make_job, make_settings

pytestmark = pytest.mark.xdist_group("training")


def with_second_phase(root: Path, **changes: Any) -> Settings:
    """An untrained first run, and six steps on the one group that has a task."""
    plain = make_settings(root, steps=0, protect=True)
    second = {
        "steps": 6, "validation_every": 3, "validation_batches": 2,
        "peak_teraflops": 1e-3, **changes,
    }  # fmt: skip
    values = plain.model_dump(mode="json")
    values["data"]["validation_fraction"] = 0.5
    values["finetuning"] = {"run": second, "groups": {"near": [TASK]}}
    return Settings.model_validate(values)


def second_job(settings: Settings) -> Job:
    def held_out() -> Any:
        return lambda number: make_batch(1000 + number)

    return dataclasses.replace(make_job(settings), name="main-near", held_out=held_out)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Both phases."""
    settings = with_second_phase(tmp_path_factory.mktemp("phases"))
    fit(make_job(settings))
    fit(second_job(settings))
    return settings


def test_it_starts_from_the_policy_of_the_first_phase(finished: Settings) -> None:
    job = second_job(finished)
    first = bundles.load(job.results.bundle("main"))
    second = bundles.load(job.results.bundle("main-near"))
    assert second.provenance["initial_weights"]["hash"] == first.hash
    assert second.provenance["fingerprint"]["initial_policy"] == first.hash
    assert second.provenance["steps"] == 6 and second.tasks == (TASK,)
    moved = [
        name
        for name in first.parameters
        if not np.array_equal(first.parameters[name], second.parameters[name])
    ]
    assert moved, "it trains"
    assert read_json(report_path(job))["kind"] == "bundle"


def test_another_first_phase_makes_another_second_one(finished: Settings) -> None:
    job = second_job(finished)
    path = job.results.bundle("main") / "provenance.json"
    content = path.read_text()
    path.write_text(content.replace(read_json(path)["hash"], "0" * 16))
    with pytest.raises(TrainingError, match=r"initial_policy: [0-9a-f]+ -> 0000"):
        fit(job)
    path.unlink()
    with pytest.raises(TrainingError, match=r"no finished policy .* hearth train --run main"):
        fit(job)
    path.write_text(content)


def test_losses_on_held_out_episodes_stand_beside_the_others(finished: Settings) -> None:
    lines = read_lines(second_job(finished).metrics)
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6]
    looked = [line for line in lines if "validation/total" in line]
    assert [line["step"] for line in looked] == [3, 6]
    for line in looked:
        terms = {key for key in line if key.startswith("validation/")}
        assert {"validation/total", "validation/stage_accuracy"} <= terms
        assert {f"validation/{key}" for key in line if key.startswith("action_")} <= terms
    first, second = (line["validation/total"] for line in looked)
    assert first != second, "it looks at the weights of its time"


def test_tensorboard_shows_every_loss_and_what_the_run_costs(finished: Settings) -> None:
    job = second_job(finished)
    events = EventAccumulator(str(job.results.tensorboard(job.name))).Reload()
    tags = set(events.Tags()["scalars"])
    losses = {"total", "action", "stage", "stage_accuracy"}
    losses |= {f"action_{group.name}" for group in job.benchmark.robot.actions}
    assert losses | {f"validation/{name}" for name in losses} <= tags
    assert {"gradient_norm", "learning_rate", "samples_per_second", "utilisation"} <= tags
    assert events.Scalars("utilisation")[-1].value > 0
    assert not any("samples_per_second" in line for line in read_lines(job.metrics))


def test_the_fullest_device_tells_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def device(now: int, most: int) -> SimpleNamespace:
        stats = {"bytes_in_use": now, "peak_bytes_in_use": most}
        return SimpleNamespace(memory_stats=lambda: stats)

    devices = [device(3 * 10**9, 9 * 10**9), device(5 * 10**9, 7 * 10**9)]
    monkeypatch.setattr(jax, "local_devices", lambda: devices)
    assert device_memory() == {"device_memory_gigabytes": 5.0, "device_memory_peak_gigabytes": 9.0}
    monkeypatch.setattr(jax, "local_devices", lambda: [SimpleNamespace(memory_stats=lambda: None)])
    assert device_memory() == {}, "a CPU tells nothing"


def network(**changes: Any) -> NetworkDefinition:
    settings = make_settings(Path("unused"))
    config = presets.config(settings.model, load_benchmark("household"), IMAGE_SIZE, HORIZON)
    return NetworkDefinition(dataclasses.replace(config, **changes))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TrainState]:
    """A checkpoint of a run with a frozen encoder, and what is in it."""
    folder = tmp_path_factory.mktemp("run") / "checkpoints"
    state = initial_state(
        network(vision_trainable=False), make_settings(Path("unused")).run("main"), 3, make_mesh(1)
    )
    state = dataclasses.replace(state, average=jax.tree.map(lambda leaf: leaf + 1, state.average))
    with Checkpoints(folder) as checkpoints:
        checkpoints.save(dataclasses.replace(state, step=state.step + 40), 1.0)
    return folder, state


def test_a_branch_starts_from_the_average_in_a_checkpoint(
    checkpoint: tuple[Path, TrainState], tmp_path: Path
) -> None:
    folder, state = checkpoint
    assert newest_of(folder.parent) == newest_of(folder) == folder / "40"
    found = read_acting(folder / "40")
    assert found is not None and state.frozen and set(found[0]) == set(state.acting)
    for name, array in state.acting.items():
        np.testing.assert_array_equal(found[0][name], array, err_msg=name)

    job = make_job(make_settings(tmp_path, steps=0, initial_weights=str(folder)))
    started = imported_state(job, network(vision_trainable=False), make_mesh(1))
    assert int(started.step) == 0
    for name, array in state.average.items():
        np.testing.assert_array_equal(started.parameters[name], array, err_msg=name)
        np.testing.assert_array_equal(started.average[name], array, err_msg=name)
    assert read_json(report_path(job))["kind"] == "checkpoint"


def test_checkpoints_that_do_not_fit_or_are_damaged_are_refused(
    checkpoint: tuple[Path, TrainState], tmp_path: Path
) -> None:
    folder, _ = checkpoint
    job = make_job(make_settings(tmp_path, steps=0, initial_weights=str(folder / "40")))
    with pytest.raises(WeightsError, match="does not fit the network"):
        imported_state(job, network(kv_mixing=False), make_mesh(1))
    damaged = tmp_path / "7"
    (damaged / "state").mkdir(parents=True)
    (damaged / "state/_METADATA").write_text("{}")
    with pytest.raises(WeightsError, match=r"cannot read training checkpoint .*/7"):
        read_acting(damaged)
    assert read_acting(tmp_path / "nothing") is None


def test_a_loss_beyond_the_limit_stops_the_run(tmp_path: Path) -> None:
    job = make_job(make_settings(tmp_path, maximum_loss=50.0))

    def step(state: Any, batch: Any) -> Any:
        state.step += 1
        total = 60.0 if state.step == 3 else 2.0
        return state, {"total": total, "gradient_norm": 1.0, "learning_rate": 1e-3}

    kept: Any = SimpleNamespace(steps=[1])
    state: Any = SimpleNamespace(step=0)
    with watchdog("test") as dog, Scalars(tmp_path / "events", tmp_path / "lines", 0) as scalars:
        trainer = Trainer(job, kept, scalars, Interrupt(), dog, 0.0)
        with pytest.raises(TrainingError) as caught:
            trainer.run(state, step, lambda batch: batch)
    for part in ("step 3 (batch 2)", "total = 60", "maximum_loss 50", "good checkpoint is 1"):
        assert part in str(caught.value)
