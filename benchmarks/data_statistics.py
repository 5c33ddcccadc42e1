"""Frames a second of the statistics of prepared episodes on one core, and their ratio against the
same numbers by pandas, one row after another.

    OPENBLAS_NUM_THREADS=1 python benchmarks/statistics.py [--episodes 20] [--rows 400]

Writes random walks as prepared episodes (no images), and times in turns within one run: reading and
accumulating them; and, on the first `rows` frames, a plain implementation: a data frame of each
chunk's entries taken row by row, sums and outer products of them, and quantiles at the end. Both
are scaled to frames a second of processor time, so that a machine that others use slows both
alike. The largest memory of the process is that of the first half, before pandas is used.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np

from hearth.benchmark import Benchmark, load_benchmark
from hearth.core.data_sections import StatisticsSettings
from hearth.data.episodes import EpisodeTable, iterate_tables
from hearth.data.statistics import Identity, TaskStatistics, accumulate, pool

HORIZON = 30
TASK = "turning_on_radio"


def write_episodes(path: Path, benchmark: Benchmark, episodes: int, frames: int) -> None:
    """Prepared tables of smooth random motions in the joints' limits, with grippers that switch."""
    random = np.random.default_rng(0)
    width = benchmark.robot.action_width
    with h5py.File(path, "w") as file:
        for index in range(episodes):
            steps = random.normal(scale=0.02, size=(frames, width))
            state = np.sin(np.cumsum(np.cumsum(steps, axis=0) * 0.1, axis=0))
            for dimension in benchmark.robot.gripper_dimensions:
                state[:, dimension] = np.sign(state[:, dimension])
            actions = state + random.normal(scale=0.01, size=state.shape)
            group = file.create_group(str(index))
            group.create_dataset("actions", data=actions.astype(np.float32))
            group.create_dataset("state", data=state.astype(np.float32))
            group.create_dataset("stage", data=(np.arange(frames) * 5 // frames).astype(np.int32))
            group.create_dataset("frame_index", data=np.arange(0, dtype=np.int64))
            group.attrs.update(task=TASK, task_index=0, held_out=False)


def one_pass(path: Path, benchmark: Benchmark, identity: Identity) -> tuple[TaskStatistics, float]:
    """The statistics, and seconds of processor time to read and accumulate."""
    start = time.process_time()
    found = accumulate(iterate_tables(path), benchmark, identity)
    return found, time.process_time() - start


def row_by_row(
    table: EpisodeTable, benchmark: Benchmark, rows: int
) -> tuple[dict[str, np.ndarray], float]:
    """The same numbers of the first `rows` chunks by pandas, and seconds of processor time."""
    import pandas as pd

    mask = benchmark.robot.delta_mask
    start = time.process_time()
    actions = pd.DataFrame(table.actions.astype(np.float64))
    state = pd.DataFrame(table.state.astype(np.float64))
    size = HORIZON * len(mask)
    total, products, chunks = np.zeros(size), np.zeros((size, size)), []
    for row in range(rows):
        chunk = actions.iloc[row : row + HORIZON] - state.iloc[row].where(mask, 0.0)
        flat = chunk.to_numpy().ravel()
        total += flat
        products += np.outer(flat, flat)
        chunks.append(chunk)
    mean = total / rows
    entries = pd.concat(chunks)
    found = {
        "mean": mean,
        "covariance": products / rows - np.outer(mean, mean),
        "quantiles": entries.quantile([0.01, 0.99]).to_numpy(),
        "state": state.iloc[:rows].agg(["mean", "std"]).to_numpy(),
    }
    return found, time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n\n")[0])
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--frames", type=int, default=8000, help="of an episode")
    parser.add_argument("--rows", type=int, default=400, help="frames of the plain implementation")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    benchmark = load_benchmark("behavior-2025")
    identity = Identity(benchmark.name, benchmark.robot.name, TASK, 0, HORIZON, "")
    frames = options.episodes * options.frames
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "episodes.h5"
        write_episodes(path, benchmark, options.episodes, options.frames)
        first = next(iter(iterate_tables(path)))
        found, seconds = one_pass(path, benchmark, identity)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        fast, slow = [seconds], []
        for _ in range(options.rounds):
            slow.append(row_by_row(first, benchmark, options.rows)[1])
            fast.append(one_pass(path, benchmark, identity)[1])
    start = time.process_time()
    pool([found], benchmark, StatisticsSettings(horizon=HORIZON))
    merge = time.process_time() - start
    rate, plain = frames / min(fast), options.rows / min(slow)
    print(f"{frames} frames in {options.episodes} episodes, one core, best of {options.rounds}")
    print(f"one pass: {rate:,.0f} frames/s, at most {memory / 1e6:.0f} MB; a merge {merge:.2f} s")
    print(f"row by row with pandas: {plain:,.0f} frames/s")
    print(f"ratio: {rate / plain:.0f} x")


if __name__ == "__main__":
    main()
