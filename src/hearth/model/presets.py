"""Presets: named sizes of one network, and the way from settings to its configuration."""

from __future__ import annotations

from typing import Any

import numpy as np

from hearth.benchmark.benchmark import Benchmark
from hearth.core.errors import SettingsError, choices
from hearth.core.sections import ModelSettings
from hearth.core.statistics import Statistics
from hearth.model.configuration import MAXIMUM_STAGES, ModelConfig

__all__ = ["MAXIMUM_STAGES", "ModelConfig", "config"]

# Half the range of a dimension that never moves, in units of the normalised state.
_STILL = 0.5

# What a preset may decide and settings may overrule: settings of None mean the preset's.
_OVERRIDES = ("state_tokens", "compute_dtype", "vision_trainable", "scan_layers", "remat")

_SIZES: dict[str, dict[str, Any]] = {
    # Learns within minutes on two CPU cores. Small beats big per second of training at this scale,
    # and a few unrolled layers run faster there than a loop.
    "tiny": {
        "width": 96,
        "mlp_width": 256,
        "prefix_layers": 2,
        "expert_width": 96,
        "expert_mlp_width": 256,
        "expert_layers": 2,
        "heads": 3,
        "kv_heads": 3,
        "head_width": 32,
        "patch_size": 16,
        "stem_widths": (48, 96),
        "vision_width": 96,
        "vision_mlp_width": 0,
        "vision_heads": 0,
        "vision_layers": 0,
        "camera_table": True,
        "position_scale": 0.5,
        "gate_start": 1.0,
        "padded_action_width": 0,
        "embedding_rows": 256,
        "state_tokens": "continuous",
        "compute_dtype": "float32",
        "vision_trainable": True,
        "scan_layers": False,
        "remat": "none",
    },
    # One GPU, minutes: learning curves and ablations. Some 21 M, 60 M and 18 M parameters.
    "small": {
        "width": 512,
        "mlp_width": 2816,
        "prefix_layers": 12,
        "expert_width": 256,
        "expert_mlp_width": 1024,
        "expert_layers": 12,
        "heads": 8,
        "kv_heads": 2,
        "head_width": 64,
        "patch_size": 16,
        "stem_widths": (96, 192),
        "vision_width": 384,
        "vision_mlp_width": 1536,
        "vision_heads": 6,
        "vision_layers": 12,
        "camera_table": True,
        "position_scale": 0.5,
        "gate_start": 1.0,
        "padded_action_width": 0,
        "embedding_rows": 256,
        "state_tokens": "discretised",
        "compute_dtype": "bfloat16",
        "vision_trainable": True,
        "scan_layers": True,
        "remat": "none",
    },
    # Pi0.5: SigLIP So400m/14, Gemma 2B and Gemma 300M, in shapes that take its weights.
    "pi05": {
        "width": 2048,
        "mlp_width": 16_384,
        "prefix_layers": 18,
        "expert_width": 1024,
        "expert_mlp_width": 4096,
        "expert_layers": 18,
        "heads": 8,
        "kv_heads": 1,
        "head_width": 256,
        "patch_size": 14,
        "stem_widths": (),
        "vision_width": 1152,
        "vision_mlp_width": 4304,
        "vision_heads": 16,
        "vision_layers": 27,
        "camera_table": False,
        "position_scale": 0.03,
        "gate_start": 0.0,
        "padded_action_width": 32,
        "embedding_rows": 257_152,
        "state_tokens": "discretised",
        "compute_dtype": "bfloat16",
        "vision_trainable": False,
        "scan_layers": True,
        "remat": "dots",  # computes 1 % again and keeps 1.7 GB a sample (docs/performance.md)
    },
}


def config(
    settings: ModelSettings,
    benchmark: Benchmark,
    image_size: int,
    horizon: int = 30,
    statistics: Statistics | None = None,
) -> ModelConfig:
    """The network of `settings` for the robot, cameras and tasks of `benchmark`.

    Args:
        statistics: of the training data; discretised states with bins between quantiles need it.

    Raises:
        SettingsError: no such preset, the image size does not fit it, or statistics are missing.
    """
    if settings.preset not in _SIZES:
        raise SettingsError(
            f"unknown preset '{settings.preset}': {choices(settings.preset, _SIZES)}"
        )
    values = dict(_SIZES[settings.preset])
    for name in _OVERRIDES:
        if getattr(settings, name) is not None:
            values[name] = getattr(settings, name)
    robot = benchmark.robot
    values["padded_action_width"] = max(values["padded_action_width"], robot.action_width)
    ranges: tuple[tuple[float, float], ...] = ()
    if values["state_tokens"] == "discretised":
        ranges = _state_ranges(
            settings, statistics, robot.action_width, values["padded_action_width"]
        )
    return ModelConfig(
        preset=settings.preset,
        image_size=image_size,
        cameras=tuple(benchmark.cameras),
        horizon=horizon,
        action_width=robot.action_width,
        action_groups=tuple((group.name, group.start, group.stop) for group in robot.actions),
        stage_counts=tuple(int(count) for count in benchmark.stage_counts()),
        state_ranges=ranges,
        stage_input=settings.stage_input,
        kv_mixing=settings.kv_mixing,
        knowledge_insulation=settings.knowledge_insulation,
        suffix_positions=settings.suffix_positions,
        correlated_noise=settings.correlated_noise,
        padded_action_loss=settings.padded_action_loss,
        flow_samples=settings.flow_samples,
        stage_loss_weight=settings.stage_loss_weight,
        fast_loss_weight=settings.fast_loss_weight,
        fast_vocabulary=settings.fast_vocabulary,
        fast_own_ids=settings.fast_own_ids,
        **values,
    )


def _state_ranges(
    settings: ModelSettings, statistics: Statistics | None, width: int, padded_width: int
) -> tuple[tuple[float, float], ...]:
    """What the bins of each state dimension span, in units of the normalised state."""
    ranges = [(-1.0, 1.0)] * width
    if settings.state_bins == "quantiles":
        if statistics is None:
            raise SettingsError(
                "model.state_bins 'quantiles' needs the statistics of the training data; "
                "valid without them: 'unit'"
            )
        low = statistics.normalise_state(statistics.state_q01)
        high = statistics.normalise_state(statistics.state_q99)
        widening = np.where(high > low, 0.0, _STILL)
        ranges = [
            (float(a), float(b)) for a, b in zip(low - widening, high + widening, strict=True)
        ]
    padding = padded_width - width if settings.padded_state_tokens else 0
    return tuple(ranges) + ((-1.0, 1.0),) * padding
