"""The trace of one episode as figures for print: stages, chunks, compression (report, 6 to 8).

The page draws the same from the same file, when somebody opens an episode: thousands of figures
made beforehand would cost hours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hearth.core.errors import DataError, choices
from hearth.reporting.figures import write_figure

Draw = Callable[[str], Figure]
_HANDS = ("left", "right")


def write_trace_figures(
    folder: Path, name: str, trace: Mapping[str, Any], dimension: str | None = None
) -> list[Path]:
    """Write ``<name>-stages`` and, where the trace holds chunks, ``-chunks`` and ``-compression``.

    Args:
        folder: where to write; each figure in a light and a dark version.
        name: begins the file names.
        trace: from `hearth.core.traces.read_trace`.
        dimension: of the actions, by its name or number; None: the one that moves most.

    Raises:
        DataError: no such dimension; the message lists them.
    """
    drawings = {"stages": draw_stages(trace)}
    if trace["pairs"]:
        index = _dimension(trace, dimension)
        first, second = trace["pairs"][0]
        drawings["chunks"] = draw_chunks(first, second, index, trace["dimensions"][index])
        if len(first["actions"]) != first["used"]:
            drawings["compression"] = draw_compression(first, index, trace["dimensions"][index])
    names = [each for kind, draw in drawings.items() for each in write_figure(
        folder, f"{name}-{kind}", draw
    )]  # fmt: skip
    return [folder / each for each in names]


def draw_stages(trace: Mapping[str, Any]) -> Draw:
    """The stage after the vote above what each prediction names (report, figure 8)."""
    predictions = trace["predictions"]
    seconds = np.asarray([*predictions["step"], trace["steps"]]) / trace["frames_per_second"]

    def draw(scheme: str) -> Figure:
        figure = Figure(figsize=(8, 4), layout="constrained")
        tracked, raw = figure.subplots(2, sharex=True, sharey=True)
        tracked.stairs(predictions["stage"], seconds, baseline=None, linewidth=2)
        raw.plot(seconds[:-1], predictions["raw_stage"], "o", color="C1", markersize=4)
        for hand, name in enumerate(_HANDS):
            at = [
                s for s, hands in zip(seconds, predictions["opened"], strict=False) if hand in hands
            ]
            if at:
                marks = np.full(len(at), -0.3)
                tracked.plot(
                    at, marks, "^<"[hand], color=f"C{2 + hand}", label=f"{name} hand opened"
                )
        if tracked.get_legend_handles_labels()[0]:
            tracked.legend(fontsize=8)
        tracked.set(title="stage after the vote", ylim=(-0.5, trace["stages"] - 0.5))
        raw.set(title="stage that each prediction names", xlabel="seconds")
        for axes in (tracked, raw):
            axes.yaxis.get_major_locator().set_params(integer=True)
            axes.grid(axis="y", linewidth=0.6)
        return figure

    return draw


def draw_chunks(
    first: Mapping[str, Any], second: Mapping[str, Any], dimension: int, name: str
) -> Draw:
    """Two consecutive chunks and the actions kept between them (report, figure 6)."""
    chunk, kept, following = (
        np.asarray(rows)[:, dimension] for rows in (first["chunk"], first["kept"], second["chunk"])
    )
    used = first["used"]

    def draw(scheme: str) -> Figure:
        figure, axes = _one_plot(name, "predicted action")
        axes.plot(np.arange(used), chunk[:used], "o", color="C0", label="first chunk, used")
        rest = np.arange(used, len(chunk))
        axes.plot(rest, chunk[used:], "o", color="C0", fillstyle="none", label="not used")
        axes.plot(
            used + np.arange(len(kept)), kept, "o", color="C4", markersize=10, fillstyle="none",
            label="kept for inpainting",
        )  # fmt: skip
        steps = used + np.arange(len(following))
        axes.plot(steps, following, "s", color="C3", markersize=4, label="second chunk")
        axes.legend(fontsize=8)
        return figure

    return draw


def draw_compression(chunk: Mapping[str, Any], dimension: int, name: str) -> Draw:
    """The predicted actions and the fewer steps that execute them (report, figure 7)."""
    predicted = np.asarray(chunk["chunk"])[: chunk["used"], dimension]
    executed = np.asarray(chunk["actions"])[:, dimension]

    def draw(scheme: str) -> Figure:
        figure, axes = _one_plot(name, "step")
        axes.plot(predicted, "o", color="C0", label=f"{len(predicted)} predicted actions")
        axes.plot(executed, "x", color="C2", label=f"{len(executed)} steps")
        axes.legend(fontsize=8)
        return figure

    return draw


def _one_plot(name: str, x_label: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.set(title=name, xlabel=x_label)
    axes.grid(axis="y", linewidth=0.6)
    return figure, axes


def _dimension(trace: Mapping[str, Any], wanted: str | None) -> int:
    names = trace["dimensions"]
    if wanted is None:
        return int(np.ptp(np.asarray(trace["pairs"][0][0]["chunk"]), axis=0).argmax())
    if wanted in names:
        return names.index(wanted)
    if wanted.isdigit() and int(wanted) < len(names):
        return int(wanted)
    raise DataError(f"the trace has no action dimension '{wanted}': {choices(wanted, names)}")
