from __future__ import annotations

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hearth.benchmark import load_benchmark
from hearth.core.sections import RunSettings
from hearth.model import presets
from hearth.policy.network import NetworkDefinition
from hearth.training.checkpoint import Checkpoints
from hearth.training.sharding import make_mesh
from hearth.training.state import TrainState, initial_state, learning_rate
from hearth.training.step import Step, average_decay, make_step

from .conftest import HORIZON, IMAGE_SIZE, make_batch, make_settings

MESH = make_mesh(1)


@pytest.fixture(scope="module")
def pieces() -> tuple[NetworkDefinition, RunSettings, Step]:
    # The same settings as the runs of test_loop, so that the compiled step is shared.
    settings = make_settings(Path("unused"))
    benchmark = load_benchmark("household")
    config = presets.config(settings.model, benchmark, IMAGE_SIZE, HORIZON)
    definition = NetworkDefinition(config)
    run = settings.run("main")
    return definition, run, make_step(definition, run, jnp.eye(HORIZON * 23), 0, MESH)


def copied(state: TrainState) -> dict[str, np.ndarray]:
    leaves = jax.tree_util.tree_leaves_with_path(state)
    return {jax.tree_util.keystr(path): np.array(leaf, copy=True) for path, leaf in leaves}


def test_the_rate_warms_up_and_ends_at_the_final_fraction() -> None:
    run = RunSettings(steps=1000, warmup_steps=100, learning_rate=2e-3)
    rate = learning_rate(run)
    values = np.array([float(rate(step)) for step in range(1001)])
    assert 0 < values[0] < 1e-4
    assert values.argmax() == 100 and values.max() == pytest.approx(2e-3)
    assert values[1000] == pytest.approx(2e-3 * 0.02)
    assert (np.diff(values[:100]) > 0).all() and (np.diff(values[100:]) < 0).all()


def test_the_rate_decays_over_its_own_steps_and_stays() -> None:
    """The winning run: 1,000 steps of warm-up, 1e-4 down to 1e-5 at step 20,000, constant after."""
    run = RunSettings(
        steps=200_000, warmup_steps=1000, learning_rate=1e-4, decay_steps=20_000,
        final_learning_rate_fraction=0.1,
    )  # fmt: skip
    rate = learning_rate(run)
    found = [float(rate(step)) for step in (0, 1000, 10_500, 20_000, 199_999)]
    assert found == pytest.approx([1e-4 / 1001, 1e-4, 5.5e-5, 1e-5, 1e-5], rel=1e-4)


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_the_rate_of_very_short_runs_is_finite(steps: int) -> None:
    rate = learning_rate(RunSettings(steps=steps, warmup_steps=100))
    assert np.isfinite([float(rate(step)) for step in range(steps + 1)]).all()


def test_the_average_follows_quickly_at_first_and_slowly_later() -> None:
    decay = [float(average_decay(0.998, jnp.asarray(step))) for step in (0, 90, 10_000)]
    assert decay == pytest.approx([0.1, 0.91, 0.998])


def test_a_step_moves_every_parameter_and_mixes_the_average(
    pieces: tuple[NetworkDefinition, RunSettings, Step],
) -> None:
    definition, run, step = pieces
    state = initial_state(definition, run, 0, MESH)
    before = copied(state)
    state, metrics = step(state, make_batch(0))
    after = copied(state)
    assert int(state.step) == 1
    assert {"total", "action", "stage", "gradient_norm", "learning_rate"} <= metrics.keys()
    moved = [name for name in definition.shapes if name.split("/")[0] != "task_table"]
    assert moved
    for name in moved:
        old, new = before[f".parameters['{name}']"], after[f".parameters['{name}']"]
        mixed = after[f".average['{name}']"]
        np.testing.assert_allclose(mixed, 0.1 * old + 0.9 * new, atol=1e-6)
    still = [
        name for name in moved
        if np.array_equal(before[f".parameters['{name}']"], after[f".parameters['{name}']"])
    ]  # fmt: skip
    # At the start the expert's gates are closed, so nothing behind them has a gradient yet.
    assert len(still) < len(moved) / 2, still


def test_randomness_belongs_to_the_step_number(
    pieces: tuple[NetworkDefinition, RunSettings, Step],
) -> None:
    definition, run, step = pieces
    totals = []
    for number in (0, 0, 1):
        state = initial_state(definition, run, 0, MESH)
        state = dataclasses.replace(state, step=jnp.int32(number))
        totals.append(float(step(state, make_batch(0))[1]["total"]))
    assert totals[0] == totals[1] != totals[2]


def test_a_checkpoint_holds_the_state_it_was_given(
    pieces: tuple[NetworkDefinition, RunSettings, Step], tmp_path: Path
) -> None:
    """The next steps reuse the state's memory while the checkpoint is still being written."""
    definition, run, step = pieces
    state, _ = step(initial_state(definition, run, 0, MESH), make_batch(0))
    expected = copied(state)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(state, 12.5)
        for number in range(1, 8):
            state, _ = step(state, make_batch(number))
        checkpoints.wait()
        found = checkpoints.restore_newest(initial_state(definition, run, 1, MESH))
    assert found is not None and found[1] == 12.5
    restored = copied(found[0])
    assert restored.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(restored[name], array, err_msg=name)


@pytest.mark.parametrize(("kept", "steps"), [(2, [2, 3]), (1, [3])])
def test_the_newest_checkpoints_are_kept(
    pieces: tuple[NetworkDefinition, RunSettings, Step],
    tmp_path: Path,
    kept: int,
    steps: list[int],
) -> None:
    definition, run, step = pieces
    state = initial_state(definition, run, 0, MESH)
    with Checkpoints(tmp_path, kept) as checkpoints:
        assert checkpoints.restore_newest(state) is None
        for number in range(3):
            state, _ = step(state, make_batch(number))
            checkpoints.save(state, 0.0)
            checkpoints.save(state, 0.0)
        checkpoints.wait()
        assert checkpoints.steps == steps
