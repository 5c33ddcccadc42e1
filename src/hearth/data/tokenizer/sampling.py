"""Random chunks of prepared episodes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hearth.core.actions import to_delta
from hearth.core.errors import DataError
from hearth.core.progress import progress
from hearth.core.seeds import generator
from hearth.data.episodes import open_file


def sample_chunks(
    files: Sequence[Path], delta_mask: np.ndarray, horizon: int, count: int, seed: int
) -> np.ndarray:
    """Delta chunks float64[n, H, D] in random order, n <= count: the same number of every task.

    Full chunks of the episodes that are not held out, each at most once. A task that has fewer
    than its share gives all it has.

    Raises:
        DataError: a file is missing or damaged, or no episode is as long as the horizon.
    """
    share = -(-count // len(files))
    parts = []
    with progress("sampling chunks", len(files)) as advance:
        for number, path in enumerate(files):
            random = generator(seed, "tokenizer chunks", number)
            parts.append(_sample_file(path, delta_mask, horizon, share, random))
            advance(note=path.stem)
    chunks = np.concatenate(parts)
    if not len(chunks):
        names = ", ".join(path.stem for path in files)
        raise DataError(f"no episode of {names} is as long as the horizon of {horizon} frames")
    order = generator(seed, "tokenizer order").permutation(len(chunks))
    return chunks[order[:count]]


def _sample_file(
    path: Path, delta_mask: np.ndarray, horizon: int, count: int, random: np.random.Generator
) -> np.ndarray:
    with open_file(path) as file:
        groups: list[Any] = [file[str(index)] for index in sorted(map(int, file.keys()))]
        groups = [group for group in groups if not group.attrs["held_out"]]
        starts = np.array([max(0, len(group["actions"]) - horizon + 1) for group in groups])
        ends = np.cumsum(starts)
        total = int(ends[-1]) if len(ends) else 0
        chosen = np.sort(random.choice(total, min(count, total), replace=False))
        chunks = np.empty((len(chosen), horizon, len(delta_mask)))
        episodes = np.searchsorted(ends, chosen, side="right")
        for episode in np.unique(episodes):
            rows = np.flatnonzero(episodes == episode)
            own = chosen[rows] - (ends[episode] - starts[episode])
            # One read per episode: a read costs more than the rows between the chunks.
            span = slice(int(own[0]), int(own[-1]) + horizon)
            actions = groups[episode]["actions"][span].astype(np.float64)
            state = groups[episode]["state"][span]
            for row, start in zip(rows, own - own[0], strict=True):
                chunks[row] = to_delta(actions[start : start + horizon], state[start], delta_mask)
    return chunks
