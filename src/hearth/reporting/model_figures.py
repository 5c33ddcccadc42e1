"""Figures of a trained network, from the arrays in its policy bundle."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from hearth.core.errors import DataError

_MIXING = {"keys": "kv_mixing/key_weights", "values": "kv_mixing/value_weights"}


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
        figure.colorbar(image, ax=figure.axes, label="weight", shrink=0.8)
        return figure

    return draw
