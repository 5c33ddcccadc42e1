"""Statistics against brute force, chunk by chunk; the files of tasks and their merge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from hearth.benchmark import load_benchmark
from hearth.cli import main
from hearth.core.data_sections import StatisticsSettings
from hearth.core.errors import DataError, StatisticsError
from hearth.core.files import read_json, write_text
from hearth.core.results import Results
from hearth.core.sections import RunSettings
from hearth.core.settings import Settings
from hearth.core.statistics import SMALLEST_STD, Statistics
from hearth.data.episodes import EpisodeTable, read_tables
from hearth.data.prepare import prepare_task
from hearth.data.statistics import (
    Identity,
    TaskStatistics,
    accumulate,
    bring_up_to_date,
    compute_statistics,
    pool,
    pool_tasks,
)

RADIO, TRASH = "turning_on_radio", "picking_up_trash"
Maker = Callable[..., Settings]
HOUSEHOLD = load_benchmark("household")


def random_tables(seed: int, lengths: list[int]) -> list[EpisodeTable]:
    generator = np.random.default_rng(seed)
    tables = []
    for index, length in enumerate(lengths):
        walk = np.cumsum(generator.normal(scale=0.1, size=(length, 23)), axis=0)
        walk[:, 5] = 0.25  # a joint that never moves
        tables.append(
            EpisodeTable(
                index=index,
                task=RADIO,
                task_index=0,
                held_out=False,
                actions=walk.astype(np.float32),
                state=(walk + generator.normal(scale=0.05, size=walk.shape)).astype(np.float32),
                stage=(np.arange(length) * 5 // length).astype(np.int32),
                frame_index=np.arange(length),
            )
        )
    return tables


def brute_force(tables: list[EpisodeTable], horizon: int) -> dict[str, np.ndarray]:
    """The same numbers, written down as plainly as possible."""
    mask = HOUSEHOLD.robot.delta_mask
    chunks, states = [], []
    for table in tables:
        states += [row.astype(np.float64) for row in table.state]
        for start in range(len(table.actions) - horizon + 1):
            chunk = table.actions[start : start + horizon].astype(np.float64)
            chunk[:, mask] -= table.state[start].astype(np.float64)[mask]
            chunks.append(chunk)
    chunk_array, state_array = np.array(chunks), np.array(states)
    flat = chunk_array.reshape(-1, chunk_array.shape[-1])
    return {
        "state_mean": state_array.mean(0),
        "state_std": state_array.std(0),
        "action_mean": flat.mean(0),
        "action_std": flat.std(0),
        "chunk_mean": chunk_array.mean(0),
        "chunk_std": chunk_array.std(0),
        "states": state_array,
        "deltas": flat,
        "chunks": chunk_array,
    }


def identity(horizon: int, task: str = RADIO) -> Identity:
    index = HOUSEHOLD.task(task).index
    return Identity(HOUSEHOLD.name, HOUSEHOLD.robot.name, task, index, horizon, "x")


def part_of(tables: list[EpisodeTable], horizon: int, task: str = RADIO) -> TaskStatistics:
    return accumulate(tables, HOUSEHOLD, identity(horizon, task))


def test_absolute_actions_and_global_normalisation_are_settings() -> None:
    tables = random_tables(5, [20, 30])
    chosen = StatisticsSettings(horizon=4, delta_actions=False, per_timestep=False)
    nothing = np.zeros(HOUSEHOLD.robot.action_width, dtype=bool)
    part = accumulate(tables, HOUSEHOLD, identity(4, RADIO), nothing)
    found = pool([part], HOUSEHOLD, chosen).statistics
    chunks = np.concatenate(
        [np.stack([table.actions[t : t + 4] for t in range(len(table.actions) - 3)])
         for table in tables]
    )  # fmt: skip
    np.testing.assert_allclose(found.chunk_mean, chunks.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(found.action_std, chunks.std(axis=(0, 1)), atol=1e-6)
    assert not found.delta.any()
    assert not found.per_timestep.any()


def test_the_public_code_normalises_every_dimension_per_timestep() -> None:
    """Also base velocities and grippers, which the default leaves to global statistics."""
    part = part_of(random_tables(5, [20, 30]), 4)
    everything = StatisticsSettings.model_validate({"horizon": 4, "per_timestep": "all"})
    found = pool([part], HOUSEHOLD, everything).statistics
    default = pool([part], HOUSEHOLD, StatisticsSettings(horizon=4)).statistics
    chunk = np.random.default_rng(0).normal(size=(4, HOUSEHOLD.robot.action_width))
    expected = (chunk - found.chunk_mean) / np.maximum(found.chunk_std, SMALLEST_STD)
    np.testing.assert_allclose(found.normalise_actions(chunk), expected, rtol=1e-5, atol=1e-5)
    differing = (found.normalise_actions(chunk) != default.normalise_actions(chunk)).any(axis=0)
    assert np.flatnonzero(differing).tolist() == [0, 1, 2, 14, 22]
    with pytest.raises(ValidationError, match="per_timestep"):
        StatisticsSettings.model_validate({"per_timestep": "some"})


def of_tables(tables: list[EpisodeTable], horizon: int) -> Statistics:
    return pool(
        [part_of(tables, horizon)], HOUSEHOLD, StatisticsSettings(horizon=horizon)
    ).statistics


def check(found: Statistics, expected: dict[str, np.ndarray]) -> None:
    for name in ("state_mean", "state_std", "action_mean", "action_std", "chunk_mean", "chunk_std"):
        np.testing.assert_allclose(getattr(found, name), expected[name], atol=1e-6, err_msg=name)
    for name, values in (("state", expected["states"]), ("action", expected["deltas"])):
        for label, q in (("q01", 0.01), ("q99", 0.99)):
            error = np.abs(getattr(found, f"{name}_{label}") - np.quantile(values, q, axis=0))
            assert (error <= 0.001 * np.ptp(values, axis=0) + 1e-6).all(), f"{name}_{label}"
    flat = expected["chunks"].reshape(len(expected["chunks"]), -1)
    np.testing.assert_allclose(found.correlation.diagonal(), 1.0)
    moves = np.flatnonzero(flat.std(0) > 1e-6)
    if len(flat) > 1:
        correlation = np.corrcoef(flat[:, moves].T)
        np.testing.assert_allclose(found.correlation[np.ix_(moves, moves)], correlation, atol=1e-6)


@given(
    seed=st.integers(0, 1000),
    lengths=st.lists(st.integers(6, 30), min_size=1, max_size=4),
    horizon=st.integers(1, 6),
)
@settings(max_examples=25, deadline=None)
def test_equals_brute_force(seed: int, lengths: list[int], horizon: int) -> None:
    tables = random_tables(seed, lengths)
    check(of_tables(tables, horizon), brute_force(tables, horizon))


@given(lengths=st.lists(st.integers(6, 20), min_size=3, max_size=3), data=st.data())
@settings(max_examples=20, deadline=None)
def test_merging_in_any_order_equals_one_pass(lengths: list[int], data: st.DataObject) -> None:
    tables = random_tables(1, lengths)
    names = [RADIO, TRASH, "bringing_water"]
    parts = [part_of([t], 4, name) for t, name in zip(tables, names, strict=True)]
    found = pool(
        data.draw(st.permutations(parts)), HOUSEHOLD, StatisticsSettings(horizon=4)
    ).statistics
    check(found, brute_force(tables, 4))
    whole = of_tables(tables, 4)
    for name in ("state_q01", "state_q99", "action_q01", "action_q99"):
        assert getattr(found, name).tolist() == getattr(whole, name).tolist(), name


def test_large_offsets_do_not_cancel() -> None:
    """Joints that travel far while a chunk moves little."""
    tables = random_tables(0, [2100, 300])
    for table in tables:
        drift = np.linspace(-20.0, 20.0, len(table.actions))[:, None].astype(np.float32)
        table.actions[:] = table.actions * 0.01 + drift
        table.state[:] = table.state * 0.01 + drift
    found, expected = of_tables(tables, 30), brute_force(tables, 30)
    np.testing.assert_allclose(found.chunk_std, expected["chunk_std"], atol=1e-6)
    flat = expected["chunks"].reshape(len(expected["chunks"]), -1)
    np.testing.assert_allclose(found.correlation, np.corrcoef(flat.T), atol=1e-6)


def test_correlation_of_normalised_chunks_is_the_same() -> None:
    tables = random_tables(0, [60, 50])
    found = of_tables(tables, 4)
    chunks = brute_force(tables, 4)["chunks"]
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


def test_gripper_closures_and_stages() -> None:
    tables = random_tables(0, [50, 20])
    for table in tables:
        table.state[:, [14, 22]] = 1.0
    tables[0].state[:, 22] = -0.9  # holds something: not closed
    tables[0].state[25, 14] = -1.0  # stage 2
    tables[0].state[49, 22] = -0.99  # stage 4
    water = part_of(tables, 3, "bringing_water")
    assert water.closed_frames.sum() == 2
    assert water.stage_frames.tolist()[:6] == [14, 14, 14, 14, 14, 0]
    assert water.stage_episodes.tolist()[:6] == [2, 2, 2, 2, 2, 0]
    closed = pool([water], HOUSEHOLD, StatisticsSettings(horizon=3)).statistics.gripper_closed
    assert closed.shape == (HOUSEHOLD.task_count, 15, 2)
    assert np.argwhere(closed).tolist() == [[17, 2, 0], [17, 4, 1]]


def test_short_episodes_are_counted_and_held_out_ones_stay_out() -> None:
    tables = random_tables(0, [40, 9, 5, 12])
    tables[3] = replace(tables[3], held_out=True)
    part = part_of(tables, 10)
    assert (part.short, part.held_out, part.chunks.count) == (2, 1, 31)
    assert part.episode_lengths.tolist() == [40, 9, 5]
    found = pool([part], HOUSEHOLD, StatisticsSettings(horizon=10))
    expected = np.concatenate([table.state for table in tables[:3]]).astype(np.float64)
    np.testing.assert_allclose(found.statistics.state_mean, expected.mean(axis=0), atol=1e-6)
    assert found.counts[0].short == 2 and found.counts[0].frames == 54
    with pytest.raises(StatisticsError, match=r"as long as the horizon of 50.*lower statistics"):
        pool([part_of(tables, 50)], HOUSEHOLD, StatisticsSettings(horizon=50))
    only_held_out = part_of([tables[3]], 3)
    with pytest.raises(StatisticsError, match=r"no episodes.*turning_on_radio \(all held out"):
        pool([only_held_out], HOUSEHOLD, StatisticsSettings(horizon=3))
    # A task without chunks beside one that has some is no fault.
    assert (
        pool(
            [only_held_out, part_of(tables, 3, TRASH)], HOUSEHOLD, StatisticsSettings(horizon=3)
        ).statistics.horizon
        == 3
    )


def test_the_file_of_a_task_comes_back_whole(tmp_path: Path) -> None:
    part, path = part_of(random_tables(2, [30, 8]), 10), tmp_path / "task.h5"
    part.save(path)
    loaded = TaskStatistics.load(path)
    assert loaded.identity == part.identity and loaded.short == 1
    one, two = (
        pool([each], HOUSEHOLD, StatisticsSettings(horizon=10)).statistics
        for each in (part, loaded)
    )
    assert one.hash == two.hash


def test_partials_of_something_else_are_refused(tmp_path: Path) -> None:
    part = part_of(random_tables(2, [30]), 10)
    with pytest.raises(StatisticsError, match=r"horizon 10, not 'household', 'r1pro' and 30"):
        pool([part], HOUSEHOLD, StatisticsSettings(horizon=30))
    with pytest.raises(StatisticsError, match=r"of benchmark 'household'.*not 'behavior-2026'"):
        pool([part], load_benchmark("behavior-2026"), StatisticsSettings(horizon=10))
    with pytest.raises(StatisticsError, match="turning_on_radio come twice"):
        pool([part, part], HOUSEHOLD, StatisticsSettings(horizon=10))
    with pytest.raises(StatisticsError, match="no tasks"):
        pool([], HOUSEHOLD, StatisticsSettings(horizon=10))
    path = tmp_path / "task.h5"
    part.save(path)
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(StatisticsError, match=r"cannot read the task's statistics .*task.h5"):
        TaskStatistics.load(path)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("nan", r"episode 1 of turning_on_radio: state\[7, 3\] is nan; 1 values are not finite"),
        ("width", r"episode 1 .*actions have shape \(20, 22\); robot 'r1pro' needs .* of 23"),
        ("stage", r"episode 1 .*stages 0 to 15; valid are 0 to 14"),
        ("rows", r"episode 1 .*19 actions, 20 states and 20 stages"),
    ],
)
def test_bad_episodes_are_named(fault: str, message: str) -> None:
    tables = random_tables(0, [20, 20])
    if fault == "nan":
        tables[1].state[7, 3] = np.nan
    elif fault == "width":
        tables[1] = replace(tables[1], actions=tables[1].actions[:, :22])
    elif fault == "stage":
        tables[1].stage[5] = 15
    else:
        tables[1] = replace(tables[1], actions=tables[1].actions[:19])
    with pytest.raises(DataError, match=message):
        part_of(tables, 5)


def test_pools_prepared_tasks_without_held_out(make_dataset: Maker) -> None:
    config = make_dataset({RADIO: [20] * 8, TRASH: [25]}, validation_fraction=0.4)
    for task in (RADIO, TRASH):
        prepare_task(config, task)
    results = Results.of(config)
    found = compute_statistics(config, (RADIO,))
    assert found.tasks == (RADIO,) and found.robot == "r1pro" and found.horizon == 5
    kept = [table for table in read_tables(results.episodes(RADIO)) if not table.held_out]
    assert 0 < len(kept) < 8
    check(found, brute_force(kept, 5))
    # The left hand closes in the last third of the generated data, the right one never.
    assert found.gripper_closed[0].any(axis=0).tolist() == [True, False]
    found.save(results.statistics)
    assert Statistics.load(results.statistics).hash == found.hash
    # A further task leaves the first one's file alone, in one process or in two.
    before = results.task_statistics(RADIO).stat().st_mtime_ns
    both = pool_tasks(config, (RADIO, TRASH), workers=2)
    assert results.task_statistics(RADIO).stat().st_mtime_ns == before
    assert both.statistics.source_hash != found.source_hash
    assert compute_statistics(config, (RADIO,)).hash == found.hash


def test_outdated_and_truncated_files_are_computed_anew(make_dataset: Maker) -> None:
    config = make_dataset({RADIO: [20, 30]})
    prepare_task(config, RADIO)
    path = Results.of(config).task_statistics(RADIO)
    first = bring_up_to_date(config, RADIO)
    path.write_bytes(path.read_bytes()[:3000])
    assert bring_up_to_date(config, RADIO).identity == first.identity
    assert TaskStatistics.load(path).identity == first.identity
    section = config.statistics.model_copy(update={"horizon": 7})
    longer = config.model_copy(update={"statistics": section})
    assert compute_statistics(longer, (RADIO,)).horizon == 7
    assert TaskStatistics.load(path).identity.horizon == 7


def test_a_run_may_measure_otherwise(
    make_dataset: Maker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another normalisation shares the moments; absolute actions have moments of their own."""
    made = make_dataset({RADIO: [20, 30]}).model_copy(update={"tasks": (RADIO,)})
    prepare_task(made, RADIO)
    own = {"main": {}, "every": {"per_timestep": "all"}, "absolute": {"delta_actions": False}}
    runs = {name: RunSettings(statistics=choices) for name, choices in own.items()}
    config = made.model_copy(update={"runs": runs})
    results = Results.of(config)
    full = compute_statistics(config, (RADIO,))
    moments = results.task_statistics(RADIO).read_bytes()
    every = pool_tasks(config, (RADIO,), run="every").statistics
    absolute = pool_tasks(config, (RADIO,), run="absolute").statistics
    assert every.per_timestep.all() and not full.per_timestep.all()
    np.testing.assert_array_equal(every.chunk_std, full.chunk_std)
    assert full.delta.any() and not absolute.delta.any()
    assert np.abs(absolute.chunk_mean - full.chunk_mean).max() > 0.1
    assert results.task_statistics(RADIO).read_bytes() == moments
    assert not results.variant("every").task_statistics(RADIO).exists()
    assert results.variant("absolute").task_statistics(RADIO).exists()
    assert compute_statistics(config, (RADIO,)).hash == full.hash
    file = tmp_path / "experiment.yaml"
    write_text(file, config.model_dump_json())
    command = ["statistics", "--config", str(file), "--workers", "1", "--run"]
    assert main([*command, "absolute"]) == 0
    assert Statistics.load(results.variant("absolute").statistics).hash == absolute.hash
    assert not results.statistics.exists()
    assert main([*command, "main"]) != 0
    assert "no statistics of its own" in capsys.readouterr().err


def test_command_writes_statistics_figures_and_counts(
    make_dataset: Maker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = make_dataset({RADIO: [20, 4]})
    prepare_task(config, RADIO)
    file = tmp_path / "experiment.yaml"
    write_text(file, config.model_copy(update={"tasks": (RADIO,)}).model_dump_json())
    results = Results.of(config)
    assert main(["statistics", "--config", str(file), "--task", RADIO]) == 0
    assert results.task_statistics(RADIO).exists() and not results.statistics.exists()
    assert main(["statistics", "--config", str(file), "--workers", "1"]) == 0
    assert "1 episodes are shorter than the horizon" in capsys.readouterr().out
    names = {path.name for path in results.statistics_figures.iterdir()}
    drawn = ("correlation", "distributions", "stage-lengths")
    assert names == {f"{name}-{scheme}.svg" for name in drawn for scheme in ("light", "dark")}
    summary = read_json(results.statistics_summary)
    assert summary["hash"] == Statistics.load(results.statistics).hash
    assert summary["tasks"][0]["frames"] == 24 and summary["tasks"][0]["chunks"] == 16


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
