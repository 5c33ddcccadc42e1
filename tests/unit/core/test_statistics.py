"""The statistics value: round trips, checks, correlated noise factor."""

from __future__ import annotations

import fcntl
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hearth.core.actions import to_absolute, to_delta
from hearth.core.errors import StatisticsError
from hearth.core.statistics import Statistics

HORIZON, WIDTH = 3, 2


@pytest.fixture
def statistics() -> Statistics:
    random = np.random.default_rng(0)
    samples = random.standard_normal((500, HORIZON * WIDTH)) @ random.standard_normal((6, 6))
    vector = np.arange(1.0, WIDTH + 1)
    return Statistics(
        robot="r", benchmark="b", tasks=("one", "two"), source_hash="x",
        state_mean=vector, state_std=vector, state_q01=-vector, state_q99=vector,
        action_mean=vector, action_std=2 * vector, action_q01=-vector, action_q99=vector,
        chunk_mean=random.standard_normal((HORIZON, WIDTH)),
        chunk_std=random.uniform(0.5, 1.0, (HORIZON, WIDTH)),
        correlation=np.corrcoef(samples.T),
        gripper_closed=np.zeros((4, 15, 2), dtype=bool),
        per_timestep=np.array([True, False]),
        delta=np.array([True, False]),
    )  # fmt: skip


def test_save_and_load(statistics: Statistics, tmp_path: Path) -> None:
    statistics.save(tmp_path / "statistics.h5")
    loaded = Statistics.load(tmp_path / "statistics.h5")
    assert loaded.hash == statistics.hash
    assert loaded.tasks == ("one", "two")


def test_loads_where_locks_are_refused(statistics: Statistics, tmp_path: Path) -> None:
    """As on Lustre and NFS; here because another process holds the lock."""
    path = tmp_path / "statistics.h5"
    statistics.save(path)
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert Statistics.load(path).hash == statistics.hash


def test_truncated_file_is_an_error(statistics: Statistics, tmp_path: Path) -> None:
    path = tmp_path / "statistics.h5"
    statistics.save(path)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(StatisticsError, match="cannot read statistics"):
        Statistics.load(path)


def test_normalisation_round_trip_and_masks(statistics: Statistics) -> None:
    chunk = np.random.default_rng(1).standard_normal((4, HORIZON, WIDTH))
    normalised = statistics.normalise_actions(chunk)
    assert np.allclose(statistics.denormalise_actions(normalised), chunk, atol=1e-5)
    expected = (chunk[..., 1] - statistics.action_mean[1]) / statistics.action_std[1]
    assert np.allclose(normalised[..., 1], expected, atol=1e-5)
    expected = (chunk[:, 2, 0] - statistics.chunk_mean[2, 0]) / statistics.chunk_std[2, 0]
    assert np.allclose(normalised[:, 2, 0], expected, atol=1e-5)


def test_cholesky_is_the_factor_of_the_shrunk_correlation(statistics: Statistics) -> None:
    factor = statistics.cholesky(0.5).astype(np.float64)
    expected = 0.5 * statistics.correlation + 0.5 * np.eye(6)
    assert np.allclose(factor @ factor.T, expected, atol=1e-5)
    assert np.isfinite(replace(statistics, correlation=np.ones((6, 6))).cholesky(1.0)).all()


def test_check_names_both_sides(statistics: Statistics) -> None:
    statistics.check("r", ("one",), HORIZON)
    with pytest.raises(StatisticsError, match="robot 'r', not 'other'"):
        statistics.check("other", ("one",), HORIZON)
    with pytest.raises(StatisticsError, match=r"do not cover three.*one, two"):
        statistics.check("r", ("three",), HORIZON)
    with pytest.raises(StatisticsError, match="horizon 3"):
        statistics.check("r", ("one",), 30)


def test_delta_round_trip() -> None:
    random = np.random.default_rng(2)
    chunk, state = random.standard_normal((5, HORIZON, WIDTH)), random.standard_normal((5, WIDTH))
    mask = np.array([True, False])
    delta = to_delta(chunk, state, mask)
    assert np.allclose(delta[..., 1], chunk[..., 1])
    assert np.allclose(delta[..., 0], chunk[..., 0] - state[:, None, 0])
    assert np.allclose(to_absolute(delta, state, mask), chunk)
