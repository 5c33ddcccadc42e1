"""Statistics against brute force, chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth.benchmark import Benchmark, load_benchmark
from hearth.core.errors import DataError
from hearth.core.results import Results
from hearth.core.settings import Settings
from hearth.core.statistics import Statistics
from hearth.data.episodes import EpisodeTable, read_tables
from hearth.data.prepare import prepare_task
from hearth.data.statistics import compute_statistics, gripper_closures, statistics_of

RADIO, TRASH = "turning_on_radio", "picking_up_trash"
Maker = Callable[..., Settings]
HOUSEHOLD = load_benchmark("household")


def random_tables(seed: int, lengths: list[int], task_index: int = 0) -> list[EpisodeTable]:
    generator = np.random.default_rng(seed)
    tables = []
    for index, length in enumerate(lengths):
        walk = np.cumsum(generator.normal(scale=0.1, size=(length, 23)), axis=0)
        walk[:, 5] = 0.25  # a joint that never moves
        tables.append(
            EpisodeTable(
                index=index,
                task=RADIO,
                task_index=task_index,
                held_out=False,
                actions=walk.astype(np.float32),
                state=(walk + generator.normal(scale=0.05, size=walk.shape)).astype(np.float32),
                stage=(np.arange(length) * 5 // length).astype(np.int32),
                frame_index=np.arange(length),
            )
        )
    return tables


def brute_force(tables: list[EpisodeTable], horizon: int, stride: int) -> dict[str, np.ndarray]:
    """The same numbers, written down as plainly as possible."""
    mask = HOUSEHOLD.robot.delta_mask
    chunks, states = [], []
    for table in tables:
        states += [row.astype(np.float64) for row in table.state]
        for start in range(0, len(table.actions), stride):
            chunk = []
            for step in range(horizon):
                action = table.actions[min(start + step, len(table.actions) - 1)]
                delta = action.astype(np.float64)
                delta[mask] -= table.state[start].astype(np.float64)[mask]
                chunk.append(delta)
            chunks.append(np.array(chunk))
    chunk_array, state_array = np.array(chunks), np.array(states)
    flat = chunk_array.reshape(-1, chunk_array.shape[-1])
    return {
        "state_mean": state_array.mean(0),
        "state_std": state_array.std(0),
        "state_q01": np.quantile(state_array, 0.01, axis=0),
        "state_q99": np.quantile(state_array, 0.99, axis=0),
        "action_mean": flat.mean(0),
        "action_std": flat.std(0),
        "action_q01": np.quantile(flat, 0.01, axis=0),
        "action_q99": np.quantile(flat, 0.99, axis=0),
        "chunk_mean": chunk_array.mean(0),
        "chunk_std": chunk_array.std(0),
        "chunks": chunk_array,
    }


def of_tables(tables: list[EpisodeTable], horizon: int, stride: int = 1) -> Statistics:
    return statistics_of(
        tables, HOUSEHOLD, (RADIO,), horizon=horizon, stride=stride, source_hash="x"
    )


@given(
    seed=st.integers(0, 1000),
    lengths=st.lists(st.integers(3, 30), min_size=1, max_size=4),
    horizon=st.integers(1, 6),
    stride=st.integers(1, 4),
)
@settings(max_examples=25, deadline=None)
def test_equals_brute_force(seed: int, lengths: list[int], horizon: int, stride: int) -> None:
    tables = random_tables(seed, lengths)
    found, expected = of_tables(tables, horizon, stride), brute_force(tables, horizon, stride)
    chunks = expected.pop("chunks")
    for name, value in expected.items():
        np.testing.assert_allclose(getattr(found, name), value, atol=1e-6, err_msg=name)
    assert found.correlation.shape == (horizon * 23, horizon * 23)
    np.testing.assert_allclose(found.correlation.diagonal(), 1.0)
    flat = chunks.reshape(len(chunks), -1)
    moves = np.flatnonzero(flat.std(0) > 1e-6)
    if len(flat) > 1:
        with np.errstate(invalid="ignore"):
            correlation = np.corrcoef(flat[:, moves].T)
        np.testing.assert_allclose(found.correlation[np.ix_(moves, moves)], correlation, atol=1e-6)


def test_correlation_of_normalised_chunks_is_the_same() -> None:
    tables = random_tables(0, [60, 50])
    found = of_tables(tables, 4)
    chunks = brute_force(tables, 4, 1)["chunks"]
    flat = found.normalise_actions(chunks).astype(np.float64).reshape(len(chunks), -1)
    moves = flat.std(0) > 1e-3
    np.testing.assert_allclose(
        found.correlation[np.ix_(moves, moves)], np.corrcoef(flat[:, moves].T), atol=1e-4
    )


def test_a_still_joint_correlates_with_itself_alone() -> None:
    tables = random_tables(0, [40])
    for table in tables:
        table.state[:, 5] = 0.25
    found = of_tables(tables, 3)
    row = found.correlation[3 * 0 + 5]
    assert row[5] == 1.0 and np.count_nonzero(row) == 1
    assert np.isfinite(found.cholesky(1.0)).all()


def test_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = random_tables(3, [40, 31, 22])
    whole = of_tables(tables, 4)
    monkeypatch.setattr("hearth.data.statistics._BLOCK", 16)
    parts = of_tables(tables, 4)
    np.testing.assert_allclose(parts.correlation, whole.correlation, atol=1e-12)
    np.testing.assert_allclose(parts.chunk_std, whole.chunk_std, atol=1e-12)


def test_gripper_closures() -> None:
    tables = random_tables(0, [50], task_index=15)
    state = tables[0].state
    state[:, 14] = 1.0
    state[:, 22] = -0.9  # holds something: not closed
    state[25, 14] = -1.0  # stage 2
    state[49, 22] = -0.99  # stage 4
    closed = gripper_closures(tables, HOUSEHOLD)
    assert closed.shape == (HOUSEHOLD.task_count, 15, 2)
    assert np.argwhere(closed).tolist() == [[15, 2, 0], [15, 4, 1]]


def test_pools_prepared_tasks_without_held_out(make_dataset: Maker) -> None:
    config = make_dataset({RADIO: [20] * 8, TRASH: [25]}, validation_fraction=0.4)
    for task in (RADIO, TRASH):
        prepare_task(config, task)
    results = Results.of(config)
    found = compute_statistics(config, (RADIO,))
    assert found.tasks == (RADIO,) and found.robot == "r1pro" and found.horizon == 5
    kept = [table for table in read_tables(results.episodes(RADIO)) if not table.held_out]
    assert 0 < len(kept) < 8
    expected = np.concatenate([table.state for table in kept]).astype(np.float64).mean(0)
    np.testing.assert_allclose(found.state_mean, expected, atol=1e-6)
    # The left hand closes in the last third of the generated data, the right one never.
    assert found.gripper_closed[0].any(axis=0).tolist() == [True, False]
    found.save(results.statistics)
    assert Statistics.load(results.statistics).hash == found.hash
    assert compute_statistics(config, (RADIO, TRASH)).source_hash != found.source_hash
    assert compute_statistics(config, (RADIO,)).hash == found.hash


def test_faults(make_dataset: Maker) -> None:
    config = make_dataset({RADIO: [10]})
    with pytest.raises(DataError, match=r"turning_on_radio.h5 does not exist; prepare"):
        compute_statistics(config, (RADIO,))
    prepare_task(config, RADIO)
    other = config.model_copy(update={"benchmark": "behavior-2025"})
    with pytest.raises(DataError, match=r"prepared for benchmark 'household'.*not 'behavior-2025'"):
        compute_statistics(other, (RADIO,))
    path = Results.of(config).episodes(RADIO)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"turning_on_radio.h5 cannot be read.*prepare the task"):
        compute_statistics(config, (RADIO,))
    with pytest.raises(DataError, match="no episodes"):
        of_tables([], 3)


def test_facts(benchmark_facts: Benchmark) -> None:
    assert benchmark_facts.robot.gripper_dimensions == (14, 22)
