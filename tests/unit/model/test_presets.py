from __future__ import annotations

import dataclasses
from typing import Any

import jax
import numpy as np
import pytest
from flax import nnx
from pydantic import ValidationError

from hearth.benchmark.benchmark import load_benchmark
from hearth.core.errors import SettingsError
from hearth.core.sections import ModelSettings
from hearth.core.statistics import Statistics
from hearth.model import presets
from hearth.model.configuration import ModelConfig
from hearth.model.policy_network import PolicyNetwork
from hearth.model.stacking import REMAT

# Stages of the 50 tasks of the 2025 challenge in the public implementation: 596 in all.
PUBLIC_STAGES = (
    5, 6, 15, 15, 14, 12, 9, 15, 10, 15, 7, 13, 10, 15, 15, 15, 15, 11, 13, 12, 14, 15, 9, 15, 15,
    15, 15, 15, 15, 15, 11, 10, 10, 13, 5, 5, 14, 6, 8, 10, 5, 15, 8, 15, 12, 11, 9, 14, 15, 15,
)  # fmt: skip


def preset(name: str, image_size: int, **changes: Any) -> ModelConfig:
    settings = ModelSettings(preset=name, state_bins="unit", **changes)  # type: ignore[arg-type]
    return presets.config(settings, load_benchmark("household"), image_size)


def parameters(config: ModelConfig) -> dict[str, int]:
    """Numbers per top-level part, without allocating any."""
    network = nnx.eval_shape(lambda: PolicyNetwork(config, nnx.Rngs(0)))
    parts: dict[str, int] = {}
    for path, leaf in jax.tree.leaves_with_path(nnx.state(network, nnx.Param)):
        parts[path[0].key] = parts.get(path[0].key, 0) + leaf.size
    return parts


def test_facts_come_from_the_benchmark() -> None:
    config = preset("tiny", 64)
    assert config.cameras == ("head", "left_wrist", "right_wrist")
    assert (config.horizon, config.action_width, config.padded_action_width) == (30, 23, 23)
    assert config.image_tokens == 3 * 16
    assert len(config.stage_counts) == load_benchmark("household").task_count
    assert config.action_groups[0] == ("base_velocity", 0, 3)


def test_tiny_stays_tiny() -> None:
    assert 600_000 < sum(parameters(preset("tiny", 64)).values()) < 800_000


def test_small_has_its_parts_sizes() -> None:
    sizes = parameters(preset("small", 128))
    assert 18e6 < sizes["vision"] < 24e6
    assert 55e6 < sizes["backbone"] < 65e6
    assert 16e6 < sizes["expert"] < 22e6


def test_pi05_has_the_public_networks_parameters() -> None:
    config = preset(
        "pi05", 224, padded_state_tokens=True, padded_action_loss=True, fast_loss_weight=0.05,
        fast_own_ids=False, vision_trainable=True,
    )  # fmt: skip
    sizes = parameters(dataclasses.replace(config, stage_counts=PUBLIC_STAGES))
    assert sum(sizes.values()) == 3_404_532_135
    assert round(sizes["vision"] / 1e6, 1) == 414.8
    assert round(sizes["state_table"] / 1e6, 1) == 526.6
    assert round(sizes["backbone"] / 1e6, 1) == 1981.9


@pytest.mark.parametrize(("benchmark", "tasks"), [("behavior-2025", 50), ("behavior-2026", 100)])
def test_every_task_of_a_benchmark_has_its_embedding(benchmark: str, tasks: int) -> None:
    settings = ModelSettings(preset="pi05", state_bins="unit")
    config = presets.config(settings, load_benchmark(benchmark), 224)
    network = nnx.eval_shape(lambda: PolicyNetwork(config, nnx.Rngs(0)))
    tables = [leaf.shape for leaf in jax.tree.leaves(nnx.state(network.task_table, nnx.Param))]
    assert tables == [(tasks, config.width)]
    assert len(config.stage_counts) == tasks


def test_settings_overrule_the_preset() -> None:
    config = preset("tiny", 64, state_tokens="discretised", compute_dtype="bfloat16", remat="full")
    assert (config.state_tokens, config.compute_dtype) == ("discretised", "bfloat16")
    assert config.remat == "full" and len(config.state_ranges) == 23


def test_settings_offer_every_kind_of_remat() -> None:
    for remat in REMAT:
        assert preset("tiny", 64, remat=remat).remat == remat
    with pytest.raises(ValidationError, match="'none', 'full'"):
        preset("tiny", 64, remat="some")


def test_padded_state_tokens_fill_up_to_the_padded_width() -> None:
    assert len(preset("pi05", 224).state_ranges) == 23
    assert preset("pi05", 224, padded_state_tokens=True).state_ranges[23:] == ((-1.0, 1.0),) * 9


def test_quantile_bins_come_from_the_statistics() -> None:
    values = {field.name: np.zeros(1) for field in dataclasses.fields(Statistics)}
    values |= {
        "state_mean": np.full(23, 1.0),
        "state_std": np.full(23, 2.0),
        "state_q01": np.full(23, -3.0),
        "state_q99": np.concatenate([np.full(22, 4.0), [-3.0]]),  # the last never moves
    }
    statistics = Statistics(**values)  # type: ignore[arg-type]
    settings = ModelSettings(preset="pi05")
    config = presets.config(settings, load_benchmark("household"), 224, statistics=statistics)
    assert config.state_ranges[0] == (-2.0, 1.5)
    assert config.state_ranges[22] == (-2.5, -1.5)


def test_quantile_bins_without_statistics_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"state_bins.*'unit'"):
        presets.config(ModelSettings(preset="small"), load_benchmark("household"), 128)


def test_unknown_preset_lists_the_presets() -> None:
    settings = ModelSettings.model_construct(preset="tinny")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match=r"'tinny'.*did you mean 'tiny'"):
        presets.config(settings, load_benchmark("household"), 64)


@pytest.mark.parametrize("image_size", [0, 60, 72])
def test_image_size_must_hold_whole_patches(image_size: int) -> None:
    with pytest.raises(SettingsError, match=str(image_size)):
        preset("tiny", image_size)
