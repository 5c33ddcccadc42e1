"""Policy bundles as checkpoints that the winning team's public server loads."""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from hearth.benchmark.benchmark import Benchmark, load_benchmark
from hearth.core.errors import WeightsError
from hearth.core.statistics import Statistics
from hearth.data.norm_stats import padded_cholesky, write_norm_stats
from hearth.model.configuration import ModelConfig
from hearth.policy.bundle import Bundle
from hearth.policy.weights.checkpoint import Tree, write_tree
from hearth.policy.weights.mapping import BUFFERS, axis_sizes, rows
from hearth.policy.weights.reference import BENCHMARK, reference_config, reference_settings

ASSET = "IliaLarchenko/behavior_224_rgb"  # where the public configuration looks for statistics

# Changing these changes how a network is computed or trained, not what the server must compute.
_FREE = {
    "preset",
    "compute_dtype",
    "scan_layers",
    "remat",
    "vision_trainable",
    "position_scale",
    "gate_start",
    "flow_samples",
    "stage_loss_weight",
    "fast_loss_weight",  # whether there are FAST parameters is asked for apart
    "knowledge_insulation",
    "suffix_positions",  # at inference both choices continue the valid tokens
}


def export_bundle(
    bundle: Bundle, folder: Path, *, expected: ModelConfig | None = None, asset: str = ASSET
) -> None:
    """Write `folder/params` and `folder/assets/<asset>/norm_stats.json`, all or nothing.

    Args:
        bundle: what to export.
        folder: must not exist.
        expected: the network that the server builds; None: the public configuration.
        asset: the server's name of the data set, below `assets`.

    Raises:
        WeightsError: the folder exists, or the server could not honour the bundle's settings;
            the message lists every difference.
    """
    if folder.exists():
        raise WeightsError(f"{folder} exists already; choose another folder or remove it")
    expected = expected or reference_config()
    found = differences(bundle, expected)
    if found:
        raise WeightsError(
            f"the public server cannot run {bundle.path}; it differs from what that server "
            "builds in:\n" + "\n".join(f"  {line}" for line in found)
        )
    width = expected.padded_action_width
    tree = tree_of_parameters(bundle.parameters, bundle.config)
    tree[BUFFERS[0]] = shrunk_cholesky(bundle.statistics, width, bundle.model.correlation_shrinkage)
    fresh = folder.with_name(f".{folder.name}.{os.getpid()}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        write_norm_stats(fresh / "assets" / asset / "norm_stats.json", bundle.statistics, width)
        write_tree(fresh / "params", tree)
        fresh.rename(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def differences(bundle: Bundle, expected: ModelConfig) -> list[str]:
    """What a server that builds `expected` would do otherwise than the bundle's policy."""
    ours, theirs = asdict(bundle.config), asdict(expected)
    lines = [
        f"{key}: {_shown(key, ours[key])}; the server has {_shown(key, theirs[key])}"
        for key in ours
        if key not in _FREE and ours[key] != theirs[key]
    ]
    if not bundle.config.fast:
        lines.append("FAST tokens: none (model.fast_loss_weight 0); the server has them")
    shrinkage, public = bundle.model.correlation_shrinkage, reference_settings()
    if shrinkage != public.correlation_shrinkage:
        lines.append(
            f"correlation_shrinkage: {shrinkage}; the server has {public.correlation_shrinkage}"
        )
    facts = load_benchmark(BENCHMARK)
    if not np.array_equal(bundle.statistics.delta, facts.robot.delta_mask):
        delta, public_delta = (
            np.flatnonzero(mask).tolist()
            for mask in (bundle.statistics.delta, facts.robot.delta_mask)
        )
        lines.append(f"dimensions of delta actions: {delta}; the server has {public_delta}")
    return lines + _robot_differences(bundle.benchmark, facts)


def tree_of_parameters(parameters: dict[str, np.ndarray], config: ModelConfig) -> Tree:
    """Our parameters by their names and in their shapes, float32."""
    sizes, tree = axis_sizes(config), {}
    for row in rows(config):
        arrays = [np.asarray(parameters[name], np.float32) for name in row.ours]
        tree.update(row.to_theirs(arrays, sizes))
    return tree


def shrunk_cholesky(statistics: Statistics, width: int, shrinkage: float) -> np.ndarray:
    """float32[H*D', H*D'], the noise's factor as the server keeps it among its weights."""
    factor = padded_cholesky(statistics.correlation, statistics.horizon, width)
    mixed = shrinkage * factor @ factor.T + (1.0 - shrinkage) * np.eye(len(factor))
    return np.linalg.cholesky(mixed).astype(np.float32)


def _robot_differences(ours: Benchmark, theirs: Benchmark) -> list[str]:
    mine, public = ours.robot.model_dump(), theirs.robot.model_dump()
    return [
        f"robot.{key}: {_short(mine[key])}; the server has {_short(public[key])}"
        for key in mine
        if mine[key] != public[key]
    ]


def _shown(key: str, value: Any) -> str:
    return _short(value) if key != "state_ranges" else _state_tokens(value)


def _state_tokens(ranges: tuple[tuple[float, float], ...]) -> str:
    """How many tokens the state has, and what their bins span."""
    if not ranges:
        return "one token of the whole state, no bins"
    spans = sorted(set(ranges))
    bins = f"{spans[0][0]:g}..{spans[0][1]:g}" if len(spans) == 1 else "a range each"
    return f"{len(ranges)} state tokens, bins over {bins}"


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
