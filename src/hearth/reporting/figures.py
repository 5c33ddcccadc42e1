"""Figures by matplotlib, as SVG files with fixed bytes, each in a light and a dark version."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, PathPatch
from matplotlib.path import Path as PlotPath

from hearth.core.files import atomic_path
from hearth.reporting.curves import Curve
from hearth.reporting.leaderboard import Leaderboard, Row
from hearth.reporting.merged import Episode, Evaluation
from hearth.reporting.scoring import mean_over_due, q_score

SCHEMES = ("light", "dark")
_INK = {"light": ("#1c2126", "#5b6570", "#d9dde1"), "dark": ("#e8eaed", "#a3abb4", "#3a4148")}
_SERIES = {
    "light": ("#1f6f8b", "#c2570c", "#6b4fa0", "#3d7a37", "#a8324e", "#7a6a1d"),
    "dark": ("#63b7d4", "#f0995a", "#b39ce6", "#86c77e", "#ec8ba3", "#cfba5c"),
}
# Report, figure 9: dark green success, light green partial success, red failure.
EPISODE_COLOURS = {
    "success": "#2f8f4e",
    "partial": "#a9d8a4",
    "failure": "#d9635b",
    "absent": "#9aa2aa",
}
_ELAPSED = "seconds"  # a clock: its axis is linear however long it ran
_SQUARE = 0.36  # side of an episode's square [inches], in the heat map
_SCORES_WIDTH, _SCALE = 8.0, 0.5  # of the figure of scores, and its axis with its label [inches]
_CHARACTER = 0.085  # mean width of a letter at the font's size [inches]


def episode_kind(episode: Episode) -> str:
    """Which colour an episode has: "success", "partial", "failure" or "absent"."""
    if not episode.present:
        return "absent"
    q = q_score(episode)
    return "success" if q == 1.0 else "partial" if q > 0.0 else "failure"


def write_figure(
    folder: Path, name: str, draw: Callable[[str], Figure], schemes: Sequence[str] = SCHEMES
) -> list[str]:
    """Write ``<name>-light.svg`` and ``<name>-dark.svg``; returns the file names."""
    names = []
    for scheme in schemes:
        with _style(scheme), atomic_path(folder / f"{name}-{scheme}.svg") as temporary:
            figure = draw(scheme)
            figure.savefig(temporary, format="svg", transparent=True, metadata={"Date": None})
        names.append(f"{name}-{scheme}.svg")
    return names


@contextmanager
def _style(scheme: str) -> Iterator[None]:
    ink, soft, line = _INK[scheme]
    settings: Any = {
        "svg.hashsalt": "hearth", "svg.fonttype": "none",
        "font.family": "sans-serif", "font.size": 10,
        "text.color": ink, "axes.labelcolor": soft, "axes.edgecolor": line,
        "xtick.color": soft, "ytick.color": soft, "grid.color": line,
        "axes.spines.top": False, "axes.spines.right": False,
        "axes.titlesize": 10, "axes.titlelocation": "left", "legend.frameon": False,
        "axes.prop_cycle": cycler(color=_SERIES[scheme]),
    }  # fmt: skip
    with matplotlib.rc_context(settings):
        yield


def draw_scores(leaderboard: Leaderboard) -> Callable[[str], Figure]:
    """q per task with its interval, one mark per evaluation."""
    tasks = list(dict.fromkeys(row.task for row in leaderboard.task_rows))
    names = [evaluation.name for evaluation in leaderboard.evaluations]
    labels = max((len(str(task)) for task in tasks), default=0) * _CHARACTER + 0.2
    widest = max((len(name) for name in names), default=0) * _CHARACTER + 0.6
    columns = max(1, min(4, int(_SCORES_WIDTH / widest)))
    legend = 0.15 + 0.22 * -(-len(names) // columns)
    gap = min(0.18, 0.8 / max(len(names), 1))  # between marks, of the distance of two tasks
    depth = len(tasks) * (0.3 + 0.16 * len(names))
    width, height = max(_SCORES_WIDTH, labels + 4.0), legend + depth + _SCALE

    def draw(scheme: str) -> Figure:
        # Placed by hand: laying out a thousand marks and labels takes most of the time otherwise.
        figure = Figure(figsize=(width, height))
        across, up = (width - labels - 0.15) / width, depth / height
        axes = figure.add_axes((labels / width, _SCALE / height, across, up))
        for index, name in enumerate(names):
            rows = [row for row in leaderboard.task_rows if row.evaluation == name]
            colour = _SERIES[scheme][index % len(_SERIES[scheme])]
            _score_marks(axes, rows, tasks, (index - (len(names) - 1) / 2) * gap, colour)
        axes.set_yticks(range(len(tasks)), [str(task) for task in tasks])
        axes.set(xlim=(-0.02, 1.02), ylim=(len(tasks) - 0.5, -0.5), xlabel="q-score")
        axes.grid(axis="x", linewidth=0.6)
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
        figure.legend(loc="upper left", ncols=columns)
        return figure

    return draw


def _score_marks(
    axes: Axes, rows: Sequence[Row], tasks: Sequence[str | None], offset: float, colour: str
) -> None:
    # One artist per kind of mark, not per mark: thousands of artists take minutes to lay out.
    marks = [(row, tasks.index(row.task) + offset) for row in rows]
    spans = [
        (y, row.q.low, row.q.high)
        for row, y in marks
        if row.q.low is not None and row.q.high is not None
    ]
    if spans:
        y, low, high = zip(*spans, strict=True)
        axes.hlines(y, low, high, color=colour, linewidth=2)
    label = rows[0].evaluation if rows else None
    for complete, style in ((True, "o"), (False, "X")):
        shown = [(row.q.estimate, y) for row, y in marks if row.complete is complete]
        if shown:
            x, y = zip(*shown, strict=True)
            axes.plot(x, y, style, color=colour, markersize=6, label=label)
            label = None


def draw_episodes(evaluation: Evaluation, tasks: Sequence[str]) -> Callable[[str], Figure]:
    """One square per episode: `tasks` by row, episodes by falling score (report, figure 9)."""

    labels = max((len(task) for task in tasks), default=0) * _CHARACTER + 0.2
    columns = max((len(r.episodes) for r in evaluation.results.values()), default=1)
    width = max(labels + _SQUARE * columns + 0.6, 5.0)
    height = 0.5 + _SQUARE * max(len(tasks), 1)

    def draw(scheme: str) -> Figure:
        # Placed by hand: laying out hundreds of labels and ticks takes most of the time otherwise.
        figure = Figure(figsize=(width, height))
        axes = figure.add_axes((0, 0, 1, 1), frameon=False, xticks=[], yticks=[])
        axes.set(xlim=(-labels / _SQUARE, (width - labels) / _SQUARE))
        axes.set(ylim=(max(len(tasks), 1), -0.5 / _SQUARE))
        places: dict[str, list[tuple[int, int]]] = {kind: [] for kind in EPISODE_COLOURS}
        for row, task in enumerate(tasks):
            result = evaluation.results.get(task)
            episodes = by_score(result.episodes) if result else []
            for column, episode in enumerate(episodes):
                places[episode_kind(episode)].append((row, column))
            mean = mean_over_due(episodes, q_score) if episodes else 0.0
            axes.text(-0.2, row + 0.5, task, ha="right", va="center", color=_INK[scheme][1])
            axes.text(columns + 0.15, row + 0.5, f"{mean:.2f}", va="center", fontsize=9)
        for kind, found in places.items():
            # One path per kind: thousands of single patches take minutes to lay out.
            if found:
                axes.add_artist(PathPatch(_squares(found), **_square_style(kind, scheme)))
        patches = [Patch(label=kind, **_square_style(kind, scheme)) for kind in EPISODE_COLOURS]
        figure.legend(handles=patches, loc="upper left", ncols=4)
        return figure

    return draw


def by_score(episodes: Sequence[Episode]) -> list[Episode]:
    """Best first; crashed and missing last; equal ones by instance and rollout."""
    return sorted(episodes, key=lambda e: (not e.present, -q_score(e), e.key))


def _squares(places: Sequence[tuple[int, int]]) -> PlotPath:
    """One path of all squares at (row, column)."""
    corners = np.array([(0.06, 0.06), (0.94, 0.06), (0.94, 0.94), (0.06, 0.94), (0.06, 0.06)])
    corner = np.array([(column, row) for row, column in places], dtype=float).reshape(-1, 1, 2)
    codes = [PlotPath.MOVETO, *[PlotPath.LINETO] * 3, PlotPath.CLOSEPOLY] * len(places)
    return PlotPath((corner + corners).reshape(-1, 2), codes)


def _square_style(kind: str, scheme: str) -> dict[str, Any]:
    absent = kind == "absent"
    return {
        "facecolor": EPISODE_COLOURS[kind], "edgecolor": _INK[scheme][2] if absent else "none",
        "linewidth": 0, "hatch": "////" if absent else None,
    }  # fmt: skip


def draw_training(curves: Sequence[Curve]) -> Callable[[str], Figure]:
    """The scalars of a run over steps, one panel per group of tags."""
    panels: dict[str, list[Curve]] = {}
    for curve in curves:
        panels.setdefault(curve.panel, []).append(curve)
    ordered = sorted(panels, key=lambda name: (name != "loss", -len(panels[name]), name))

    def draw(scheme: str) -> Figure:
        columns = min(3, len(ordered))
        rows = -(-len(ordered) // columns)
        figure = Figure(figsize=(3.9 * columns, 2.7 * rows), layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes, name in zip(grid.flat, ordered, strict=False):
            _training_panel(axes, name, panels[name])
        for axes in grid.flat[len(ordered) :]:
            axes.set_visible(False)
        return figure

    return draw


def _training_panel(axes: Axes, name: str, curves: Sequence[Curve]) -> None:
    for curve in curves:
        axes.plot(curve.steps, curve.values, linewidth=1.3, label=curve.label)
    values = np.concatenate([curve.values for curve in curves])
    finite = values[np.isfinite(values)]
    wide = len(finite) and finite.min() > 0 and finite.max() > 30 * finite.min()
    if wide and name != _ELAPSED:
        axes.set_yscale("log")
    axes.set(title=name, xlabel="step")
    axes.grid(axis="y", linewidth=0.6)
    if len(curves) > 1:
        axes.legend(fontsize=8, ncols=2 if len(curves) > 4 else 1)
