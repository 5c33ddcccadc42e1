"""Figures of a trained network, from its policy bundle."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Polygon
from matplotlib.ticker import MaxNLocator

from hearth.core.attention_mask import AttentionMask, Sight
from hearth.core.errors import DataError

_MIXING = {"keys": "kv_mixing/key_weights", "values": "kv_mixing/value_weights"}
_STAIRS = 6  # steps of a causal square, however many tokens it stands for
_MASK_STYLES: dict[str, dict[str, Any]] = {
    "all": {"facecolor": "C0", "edgecolor": "none"},
    "causal": {"facecolor": "C1", "edgecolor": "none"},
}


def read_mixing(bundle: Path) -> dict[str, np.ndarray] | None:
    """The weights of the KV mixing, "keys" and "values": float[expert layers, prefix layers].

    Only these two arrays of the bundle are read. None without a bundle or without KV mixing.

    Raises:
        DataError: the bundle's parameters cannot be read.
    """
    path = bundle / "parameters.npz"
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as arrays:
            if not set(_MIXING.values()) <= set(arrays.files):
                return None
            return {name: arrays[key].astype(float) for name, key in _MIXING.items()}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(f"cannot read {path}: {error}") from error


def draw_mixing(weights: Mapping[str, np.ndarray]) -> Callable[[str], Figure]:
    """Which prefix layers each expert layer reads keys and values from (report, figure 3)."""
    largest = max(1e-6, *(float(np.abs(values).max()) for values in weights.values()))

    def draw(scheme: str) -> Figure:
        figure = Figure(figsize=(8, 3.6), layout="constrained")
        for axes, (name, values) in zip(
            figure.subplots(1, len(weights)), weights.items(), strict=True
        ):
            image = axes.imshow(
                values, cmap="RdBu_r", vmin=-largest, vmax=largest, interpolation="none"
            )
            axes.set(title=name, xlabel="prefix layer", ylabel="action expert layer")
            axes.spines[:].set_visible(False)
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_locator(MaxNLocator(integer=True))  # layers, also of two
        figure.colorbar(image, ax=figure.axes, label="weight", shrink=0.8)
        return figure

    return draw


def read_mask(bundle: Path) -> AttentionMask | None:
    """The network's attention mask; None without a bundle, or in one of an earlier version.

    Raises:
        DataError: the file cannot be read.
    """
    path = bundle / "attention_mask.json"
    return AttentionMask.load(path) if path.is_file() else None


def describe_mask(mask: AttentionMask) -> str:
    """The mask in words, e.g. "images: images, task; task: images, task"."""
    names = [group.name for group in mask.groups]
    lines = []
    for name, row in zip(names, mask.sees, strict=True):
        seen = [
            f"{key} before it" if sight == "causal" else key
            for key, sight in zip(names, row, strict=True)
            if sight != "none"
        ]
        lines.append(f"{name}: {', '.join(seen) or 'nothing'}")
    return "; ".join(lines)


def draw_mask(mask: AttentionMask) -> Callable[[str], Figure]:
    """Which tokens (rows) see which (columns), a square per pair of groups (report, figure 4).

    All squares have one size: a single task token beside hundreds of images would not show.
    """
    count = len(mask.groups)
    labels = [f"{group.name}\n{group.tokens}" for group in mask.groups]
    kinds = {"all": "sees all of the group", "causal": "sees itself and those before it"}

    def draw(scheme: str) -> Figure:
        figure = Figure(figsize=(5.6, 5.8), layout="constrained")
        axes = figure.subplots()
        for row, sights in enumerate(mask.sees):
            for column, sight in enumerate(sights):
                if sight != "none":
                    axes.add_patch(_square(row, column, sight))
        ticks = np.arange(count) + 0.5
        axes.set_xticks(ticks, labels)
        axes.set_yticks(ticks, labels)
        axes.set_xticks(range(count + 1), minor=True)
        axes.set_yticks(range(count + 1), minor=True)
        axes.grid(which="minor", linewidth=0.8)
        axes.set(xlim=(0, count), ylim=(count, 0), aspect="equal", axisbelow=False)
        axes.set(xlabel="seen tokens (keys)", ylabel="seeing tokens (queries)")
        axes.tick_params(which="both", length=0, top=True, labeltop=True, labelbottom=False)
        axes.xaxis.set_label_position("top")
        axes.spines[:].set_visible(False)
        found = {sight for row in mask.sees for sight in row}
        shown = [
            Patch(label=text, **_MASK_STYLES[kind]) for kind, text in kinds.items() if kind in found
        ]
        figure.legend(handles=shown, loc="outside lower center", ncols=len(shown))
        return figure

    return draw


def _square(row: int, column: int, sight: Sight) -> Polygon:
    """A full square, or stairs under its diagonal; rows count downwards."""
    corners = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]
    if sight == "causal":
        steps = np.arange(_STAIRS + 1) / _STAIRS
        corners = [(0.0, 0.0), *zip(np.repeat(steps, 2)[1:], np.repeat(steps, 2)[:-1], strict=True)]
        corners.append((0.0, 1.0))
    return Polygon(np.add(corners, (column, row)), **_MASK_STYLES[sight])
