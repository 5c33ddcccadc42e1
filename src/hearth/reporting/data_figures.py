"""Figures of the demonstrations: correlation of actions, distributions, lengths, FAST tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hearth.core.results import Results

Draw = Callable[[str], Figure]
Histogram = tuple[np.ndarray, np.ndarray]  # counts [n], edges [n + 1]


@dataclass(frozen=True)
class DataFigure:
    """A figure that another stage drew.

    Attributes:
        place: below the experiment's folder, without the colour scheme and the ending.
        caption: what it shows.
    """

    place: str
    caption: str


def drawn_figures(results: Results) -> list[DataFigure]:
    """The figures of the data that statistics and tokenizer have drawn, in the page's order."""
    captions = {
        results.statistics_figures / "correlation": "Correlation of the actions within a chunk, "
        "every timestep and dimension with every other: the noise that training adds follows it.",
        results.statistics_figures / "distributions": "Distributions of actions and states per "
        "dimension, counts under a square root; the marked range holds 98 % of the values.",
        results.statistics_figures / "stage-lengths": "Mean length of the stages of each task.",
        results.tokenizer.parent / "figures" / "tokens": "Tokens that FAST needs for a chunk, and "
        "the error that remains after decoding.",
    }
    return [
        DataFigure(path.relative_to(results.root).as_posix(), caption)
        for path, caption in captions.items()
        if path.with_name(f"{path.name}-light.svg").is_file()
    ]


def draw_correlation(correlation: np.ndarray, horizon: int) -> Draw:
    """The correlation float[H*D, H*D] of action chunks (report, figure 5)."""
    size = len(correlation)
    steps = np.arange(0, horizon, 5)

    def draw(scheme: str) -> Figure:
        figure = Figure(figsize=(6.4, 5.4), layout="constrained")
        axes = figure.subplots()
        image = axes.imshow(
            correlation, cmap="RdBu_r", vmin=-1, vmax=1, interpolation="none",
            extent=(0, size, size, 0),
        )  # fmt: skip
        ticks = steps * (size // horizon)
        axes.set_xticks(ticks, [str(step) for step in steps])
        axes.set_yticks(ticks, [str(step) for step in steps])
        axes.set(xlabel="timestep in the chunk", ylabel="timestep in the chunk")
        axes.spines[:].set_visible(False)
        figure.colorbar(image, label="correlation", shrink=0.8)
        return figure

    return draw


def draw_histograms(
    names: Sequence[str], columns: Mapping[str, tuple[Sequence[Histogram], np.ndarray]]
) -> Draw:
    """One row per dimension, one column per quantity, each over its own range.

    Args:
        names: of the dimensions.
        columns: title -> a histogram per dimension, and q01 and q99 as float[2, D]; between them
            lie 98 % of the values.
    """

    def draw(scheme: str) -> Figure:
        figure = Figure(figsize=(11, 0.8 + 0.3 * len(names)), layout="constrained")
        grid = figure.subplots(1, len(columns), sharey=True, squeeze=False)
        for axes, (title, (histograms, quantiles)) in zip(grid.flat, columns.items(), strict=True):
            for row, (counts, edges) in enumerate(histograms):
                _ridge(axes, row, counts, edges, quantiles[:, row])
            axes.set_title(title)
            axes.set(xlim=(0, 1.3), ylim=(len(names), -0.2), xticks=[])
            axes.spines[:].set_visible(False)
            axes.tick_params(length=0)
        rows = np.arange(len(names)) + 0.6
        grid[0, 0].set_yticks(rows, list(names), fontsize=8)
        return figure

    return draw


def _ridge(
    axes: Axes, row: int, counts: np.ndarray, edges: np.ndarray, quantiles: np.ndarray
) -> None:
    """A histogram as a filled outline in row `row`: square roots, so that rare values show."""
    span = max(edges[-1] - edges[0], 1e-12)
    height = 0.9 * np.sqrt(counts / max(counts.max(), 1))
    places = (edges - edges[0]) / span
    axes.stairs(row + 1 - height, places, baseline=row + 1, fill=True, color="C0")
    axes.plot((quantiles - edges[0]) / span, [row + 1, row + 1], color="C1", linewidth=2)
    text = f"{quantiles[0]:.3g} to {quantiles[1]:.3g}"
    axes.text(1.02, row + 0.75, text, fontsize=7, va="center")


def draw_stage_lengths(
    stages: Mapping[str, Sequence[float]], lengths: Mapping[str, float], rate: float
) -> Draw:
    """Mean seconds per stage and task, as parts of a bar; `rate` is frames per second."""

    def draw(scheme: str) -> Figure:
        figure = Figure(figsize=(8, 1.2 + 0.26 * len(stages)), layout="constrained")
        axes = figure.subplots()
        for row, (task, frames) in enumerate(stages.items()):
            seconds = np.asarray(frames) / rate
            starts = np.concatenate([[0.0], np.cumsum(seconds)[:-1]]) if len(seconds) else []
            colours = [f"C{stage % 2}" for stage in range(len(seconds))]
            axes.barh([row] * len(seconds), seconds, left=starts, color=colours, height=0.7)
            end = float(seconds.sum())
            text = f"  {len(seconds)} stages, mean episode {lengths[task] / rate:.0f} s"
            axes.text(end, row, text, va="center", fontsize=7)
        axes.set_yticks(range(len(stages)), [task.replace("_", " ") for task in stages])
        axes.tick_params(axis="y", labelsize=8, length=0)
        axes.set_xlabel("mean seconds in each stage")
        axes.margins(x=0.35)
        axes.set_xlim(left=0)
        axes.invert_yaxis()
        return figure

    return draw


def draw_tokens(lengths: np.ndarray, limit: int, errors: Mapping[str, np.ndarray]) -> Draw:
    """The distribution of FAST token counts, and of reconstruction errors per action group.

    Args:
        lengths: int[n], tokens per chunk before truncation.
        limit: the most tokens a chunk may have.
        errors: group -> root mean square error of each chunk, float[n], in the group's unit.
    """

    def draw(scheme: str) -> Figure:
        figure = Figure(figsize=(9, 3), layout="constrained")
        left, right = figure.subplots(1, 2)
        left.hist(lengths, bins=np.arange(0, lengths.max() + 6, 5))
        left.axvline(limit, color="C1", linewidth=1, linestyle="--", label=f"limit {limit}")
        left.set(xlabel="FAST tokens of a chunk", ylabel="chunks")
        left.legend(fontsize=8)
        share = np.arange(1, len(lengths) + 1) / len(lengths)
        for name, values in errors.items():
            right.plot(np.sort(values), share, linewidth=1.3, label=name)
        right.set(xlabel="error of a chunk after decoding, root mean square", ylabel="chunks up to")
        right.set_xlim(left=0)
        right.legend(fontsize=8)
        return figure

    return draw
