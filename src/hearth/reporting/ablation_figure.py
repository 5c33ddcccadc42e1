"""The chart of the ablations: what each variant's q loses or gains against the full system."""

from __future__ import annotations

from collections.abc import Callable

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from hearth.reporting.ablations import Ablation, Ablations


def draw_ablations(ablations: Ablations) -> Callable[[str], Figure]:
    """The paired difference of q of every variant with its interval, in the settings' order.

    A filled mark is told apart from the full system after the correction, a cross is incomplete.
    """
    variants = ablations.variants

    def draw(scheme: str) -> Figure:
        figure = Figure(figsize=(8, 1.5 + 0.46 * len(variants)), layout="constrained")
        axes = figure.subplots()
        axes.axvline(0.0, color=matplotlib.rcParams["xtick.color"], linewidth=1)
        for place, ablation in enumerate(variants):
            _mark(axes, place, ablation, ablations.told_apart(ablation))
        labels = [f"{variant.name}\n{variant.overrides_text}" for variant in variants]
        axes.set_yticks(range(len(variants)), labels, fontsize=8)
        axes.set(
            ylim=(len(variants) - 0.5, -0.5), xlabel=f"q against {ablations.base}, same instances"
        )
        axes.grid(axis="x", linewidth=0.6)
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
        apart = f"told apart at {100 * ablations.level:.3g} %"
        marks = [
            Line2D([], [], marker="o", ls="none", color="C0", label=apart),
            Line2D([], [], marker="o", ls="none", color="C0", fillstyle="none", label="not"),
        ]
        figure.legend(handles=marks, loc="outside upper left", ncols=2)
        return figure

    return draw


def _mark(axes: Axes, place: int, ablation: Ablation, told_apart: bool) -> None:
    difference = ablation.row.difference
    if difference is None:
        axes.text(0.0, place, " no shared episodes", va="center", fontsize=8)
        return
    if difference.low is not None and difference.high is not None:
        axes.hlines(place, difference.low, difference.high, color="C0", linewidth=2)
    marker = "o" if ablation.row.complete else "X"
    fill = "full" if told_apart else "none"
    ground = "none" if fill == "none" else "C0"
    axes.plot(
        [difference.estimate], [place], marker=marker, color="C0", markersize=7,
        markerfacecolor=ground,
    )  # fmt: skip
