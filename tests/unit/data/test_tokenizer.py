"""The FAST tokenizer: round trips, limits, the same bytes for the same seed."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.fft
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth.benchmark import load_benchmark
from hearth.cli import main
from hearth.core.actions import to_delta
from hearth.core.data_sections import TokenizerSettings
from hearth.core.errors import DataError, SettingsError, StatisticsError
from hearth.core.files import read_json, write_text
from hearth.core.results import Results
from hearth.core.settings import Settings, validate_settings
from hearth.core.statistics import Statistics
from hearth.data.episodes import read_tables
from hearth.data.prepare import prepare_task
from hearth.data.statistics import compute_statistics
from hearth.data.tokenizer import FastTokenizer, fit, measure, tokenize_chunks, train_tokenizer
from hearth.data.tokenizer.fast import cosine_basis
from hearth.data.tokenizer.sampling import sample_chunks

RADIO, TRASH = "turning_on_radio", "picking_up_trash"
HOUSEHOLD = load_benchmark("household")
HORIZON, WIDTH = 30, 23
Maker = Callable[..., Settings]


def smooth_chunks(count: int, seed: int = 0) -> np.ndarray:
    """Sums of slow waves, as motions are; dimension 6 never moves."""
    random = np.random.default_rng(seed)
    time = np.arange(HORIZON)[:, None] / HORIZON
    phase = random.uniform(0, 6, size=(count, 1, WIDTH))
    chunks = random.normal(size=(count, 1, WIDTH)) * np.sin(time * 2 + phase)
    chunks[..., 6] = 0.3
    return chunks


def statistics_of(chunks: np.ndarray) -> Statistics:
    flat = chunks.reshape(-1, WIDTH)
    low, high = np.quantile(flat, [0.01, 0.99], axis=0)
    zeros, ones = np.zeros(WIDTH), np.ones(WIDTH)
    return Statistics(
        robot="r1pro", benchmark="household", tasks=(RADIO,), source_hash="x",
        state_mean=zeros, state_std=ones, state_q01=-ones, state_q99=ones,
        action_mean=flat.mean(axis=0), action_std=flat.std(axis=0), action_q01=low, action_q99=high,
        chunk_mean=chunks.mean(axis=0), chunk_std=chunks.std(axis=0),
        correlation=np.eye(HORIZON * WIDTH), gripper_closed=np.zeros((1, 15, 2), dtype=bool),
        per_timestep=np.ones(WIDTH, dtype=bool),
        delta=np.ones(WIDTH, dtype=bool),
    )  # fmt: skip


@pytest.fixture(scope="module")
def trained() -> FastTokenizer:
    chunks = smooth_chunks(300)
    return fit(chunks, statistics_of(chunks), TokenizerSettings(), 1024)


def test_decoding_gives_the_chunk_back_up_to_rounding(trained: FastTokenizer) -> None:
    chunks = smooth_chunks(40, seed=1)
    span = trained.high - trained.low
    for chunk in chunks:
        tokens = trained.encode_all(chunk[None])[0]
        decoded = trained.decode(tokens)
        # A coefficient is rounded by at most 1/2 step: their root sum of squares bounds the error.
        bound = 0.5 / trained.scale * np.sqrt(HORIZON) / 2 * span
        error = np.sqrt(np.square(decoded - chunk).sum(axis=0))[trained.dimensions]
        assert (error <= bound[trained.dimensions] + 1e-9).all()
        np.testing.assert_allclose(decoded[:, 6], chunks[..., 6].mean())
        assert max(tokens) < trained.vocabulary_size <= 1024
        assert len(tokens) < HORIZON * 22 / 2, "smooth motions must be compressed"


def test_22_dimensions_are_encoded(trained: FastTokenizer) -> None:
    assert trained.dimensions.tolist() == [*range(6), *range(7, 23)]
    chunks = smooth_chunks(2)
    changed = chunks.copy()
    changed[..., 6] += 5.0
    assert trained.encode_all(chunks) == trained.encode_all(changed)


@given(values=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=23), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_any_chunk_has_tokens(trained: FastTokenizer, values: list[float], seed: int) -> None:
    """Also far outside of what was seen: clipped, never unknown."""
    chunk = smooth_chunks(1, seed)[0]
    chunk[: len(values), 3] = values[:HORIZON]
    tokens = trained.encode_all(chunk[None])[0]
    decoded = trained.decode(tokens)
    assert decoded.shape == chunk.shape and np.isfinite(decoded).all()
    assert trained.encode_all(decoded[None])[0] == tokens or np.abs(chunk).max() > 10


def test_batches_are_padded_truncated_and_masked(trained: FastTokenizer) -> None:
    chunks = smooth_chunks(5, seed=2)
    chunks[4] = np.random.default_rng(0).normal(size=(HORIZON, WIDTH))  # noise does not compress
    tokens, mask = tokenize_chunks(trained, chunks)
    assert tokens.shape == mask.shape == (5, 200)
    assert tokens.dtype == np.int32 and mask.dtype == bool
    encoded = trained.encode_all(chunks)
    assert len(encoded[4]) > 200 and mask[4].all()
    for row in range(5):
        assert mask[row].sum() == min(len(encoded[row]), 200)
        assert tokens[row][mask[row]].tolist() == encoded[row][:200] == trained.encode(chunks[row])
        assert (tokens[row][~mask[row]] == 0).all()
    short = replace(trained, maximum_tokens=8)
    assert tokenize_chunks(short, chunks)[0].shape == (5, 8)
    report = measure(short, chunks, HOUSEHOLD)
    assert report.truncated == 5 and report.chunks == 5
    # Cut off are high frequencies: what is left is nearer to a motion than to nothing at all.
    kept = short.decode(short.encode(chunks[0])) - chunks[0]
    nothing = short.decode([]) - chunks[0]
    assert np.square(kept).sum() < np.square(nothing).sum()


def test_measure_counts_clipped_coefficients(trained: FastTokenizer) -> None:
    chunks = smooth_chunks(3, seed=3)
    assert measure(trained, smooth_chunks(300), HOUSEHOLD).clipped == 0
    chunks[1, :, 2] = 1e4
    report = measure(trained, chunks, HOUSEHOLD)
    assert report.clipped == 1 and report.largest_error > 1e3
    assert set(report.errors) == {group.name for group in HOUSEHOLD.robot.actions}
    assert report.summary()["clipped_coefficients"] == 1


def test_the_basis_is_the_orthonormal_cosine_transform() -> None:
    chunk = np.random.default_rng(0).normal(size=(HORIZON, 4))
    expected = scipy.fft.dct(chunk, axis=0, norm="ortho")
    np.testing.assert_allclose(cosine_basis(HORIZON) @ chunk, np.asarray(expected), atol=1e-12)


def test_file_and_pickle(trained: FastTokenizer, tmp_path: Path) -> None:
    chunks = smooth_chunks(4, seed=4)
    trained.save(tmp_path / "tokenizer.json")
    for copy in (
        FastTokenizer.load(tmp_path / "tokenizer.json"),
        pickle.loads(pickle.dumps(trained)),
    ):
        assert copy.encode_all(chunks) == trained.encode_all(chunks)
        tokens = trained.encode(chunks[0])
        np.testing.assert_array_equal(copy.decode(tokens), trained.decode(tokens))
        copy.save(tmp_path / "again.json")
        assert (tmp_path / "again.json").read_bytes() == (tmp_path / "tokenizer.json").read_bytes()


def test_bad_input(trained: FastTokenizer, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"shape \(2, 29, 23\).*\[any, 30, 23\]"):
        trained.encode_all(np.zeros((2, 29, 23)))
    with pytest.raises(DataError, match="not finite"):
        trained.encode_all(np.full((1, HORIZON, WIDTH), np.nan))
    for wrong in (trained.vocabulary_size, -1):
        with pytest.raises(DataError, match=rf"no token {wrong}; valid are 0 to "):
            trained.decode([0, wrong])
    path = tmp_path / "tokenizer.json"
    with pytest.raises(DataError, match="does not exist"):
        FastTokenizer.load(path)
    trained.save(path)
    text = path.read_text()
    path.write_text(text[: len(text) // 2])
    with pytest.raises(DataError, match="not valid JSON"):
        FastTokenizer.load(path)
    path.write_text('{"format": 1, "bpe": {}}')
    with pytest.raises(DataError, match="is not a FAST tokenizer"):
        FastTokenizer.load(path)
    path.write_text(text.replace('"format": 1', '"format": 7'))
    with pytest.raises(DataError, match="has format 7; this version reads 1"):
        FastTokenizer.load(path)
    with pytest.raises(DataError, match="trained with statistics"):
        trained.check(statistics_of(smooth_chunks(3)))


def test_settings_that_cannot_be() -> None:
    chunks = smooth_chunks(50)
    statistics = statistics_of(chunks)
    with pytest.raises(SettingsError, match=r"'0:24' ends at 24; robot 'r1pro' has 23 dimensions"):
        fit(chunks, statistics, TokenizerSettings(encoded_dimensions="0:24"), 1024)
    with pytest.raises(SettingsError, match=r"letters, model.fast_vocabulary has 16; lower"):
        fit(chunks, statistics, TokenizerSettings(), 16)
    for text in ("3:3", "0:5,4:9", "abc", "5:1"):
        values = {"experiment": "x", "benchmark": "household", "demonstrations": {}}
        with pytest.raises(SettingsError, match=r"tokenizer.encoded_dimensions"):
            validate_settings({**values, "tokenizer": {"encoded_dimensions": text}}, "test")


@pytest.fixture
def experiment(make_dataset: Maker, tmp_path: Path) -> tuple[Settings, Path]:
    config = make_dataset({RADIO: [40, 33, 12], TRASH: [37, 3]}, validation_fraction=0.2)
    for task in (RADIO, TRASH):
        prepare_task(config, task)
    file = tmp_path / "experiment.yaml"
    chosen = config.model_copy(update={"tasks": (RADIO, TRASH)})
    write_text(file, chosen.model_dump_json())
    compute_statistics(config, (RADIO, TRASH)).save(Results.of(config).statistics)
    return chosen, file


def test_command_writes_the_same_bytes_every_time(
    experiment: tuple[Settings, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    config, file = experiment
    path = Results.of(config).tokenizer
    assert main(["tokenizer", "--config", str(file)]) == 0
    printed = capsys.readouterr().out
    first = path.read_bytes()
    report = read_json(path.parent / "report.json")
    assert report["chunks"] > 0
    tokens = report["tokens"]
    assert 0 < tokens["median"] <= tokens["q95"] <= tokens["most"]
    assert (
        f"{tokens['mean']:.1f} tokens a chunk: half have at most {tokens['median']:g}, "
        f"95 % at most {tokens['q95']:g}, all at most {tokens['most']}; "
    ) in printed
    for name, error in report["root_mean_square_error"].items():
        assert f"{name.replace('_', ' ')}: root mean square error {error:.4f}" in printed
    figures = {figure.name for figure in (path.parent / "figures").iterdir()}
    assert figures == {"tokens-light.svg", "tokens-dark.svg"}
    # Another process: nothing may hang on the hashes of one.
    command = [sys.executable, "-m", "hearth", "tokenizer", "--config", str(file)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    assert path.read_bytes() == first
    statistics = Statistics.load(Results.of(config).statistics)
    other, _ = train_tokenizer(config.model_copy(update={"seed": 5}), config.tasks, statistics)
    assert other.as_dict() != read_json(path)


def test_sampled_chunks_are_whole_chunks_of_training_episodes(
    experiment: tuple[Settings, Path],
) -> None:
    config, _ = experiment
    files = [Results.of(config).episodes(task) for task in (RADIO, TRASH)]
    mask = HOUSEHOLD.robot.delta_mask
    all_chunks: list[bytes] = []
    for table in [table for file in files for table in read_tables(file) if not table.held_out]:
        for start in range(len(table.actions) - 4):
            actions = table.actions[start : start + 5].astype(np.float64)
            all_chunks.append(to_delta(actions, table.state[start], mask).tobytes())
    found = sample_chunks(files, mask, 5, 10_000, seed=0)
    assert sorted(chunk.tobytes() for chunk in found) == sorted(all_chunks)
    few = sample_chunks(files, mask, 5, 10, seed=0)
    assert len(few) == 10 and {chunk.tobytes() for chunk in few} <= set(all_chunks)
    np.testing.assert_array_equal(few, sample_chunks(files, mask, 5, 10, seed=0))
    with pytest.raises(DataError, match="as long as the horizon of 99 frames"):
        sample_chunks(files, mask, 99, 10, seed=0)


def test_statistics_of_something_else(experiment: tuple[Settings, Path]) -> None:
    config, _ = experiment
    statistics = Statistics.load(Results.of(config).statistics)
    with pytest.raises(StatisticsError, match=r"do not cover bringing_water"):
        train_tokenizer(config, (RADIO, "bringing_water"), statistics)
