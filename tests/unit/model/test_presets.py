from __future__ import annotations

import dataclasses
import json

import pytest

from hearth.benchmark.benchmark import load_benchmark
from hearth.core.errors import SettingsError
from hearth.core.sections import ModelSettings
from hearth.model import presets
from hearth.model.presets import ModelConfig


def tiny(image_size: int = 64) -> ModelConfig:
    settings = ModelSettings(preset="tiny", flow_samples=2)
    return presets.config(settings, load_benchmark("household"), image_size, horizon=30)


def test_facts_come_from_the_benchmark() -> None:
    config = tiny()
    assert config.cameras == ("head", "left_wrist", "right_wrist")
    assert (config.horizon, config.action_width) == (30, 23)
    assert config.image_tokens == 3 * 16
    assert len(config.stage_counts) == load_benchmark("household").task_count
    assert config.action_groups[0] == ("base_velocity", 0, 3)


def test_survives_json() -> None:
    config = tiny()
    assert ModelConfig.from_dict(json.loads(json.dumps(config.as_dict()))) == config


def test_unknown_preset_lists_the_presets() -> None:
    settings = ModelSettings.model_construct(preset="tinny", flow_samples=2)
    with pytest.raises(SettingsError, match=r"'tinny'.*did you mean 'tiny'"):
        presets.config(settings, load_benchmark("household"), 64, horizon=30)


def test_unknown_key_names_its_neighbour(config: ModelConfig) -> None:
    with pytest.raises(SettingsError, match="did you mean 'mlp_width'"):
        ModelConfig.from_dict({**config.as_dict(), "mlp_widht": 3})


def test_missing_key_is_named(config: ModelConfig) -> None:
    values = config.as_dict()
    del values["heads"]
    with pytest.raises(SettingsError, match="heads"):
        ModelConfig.from_dict(values)


@pytest.mark.parametrize("image_size", [0, 60, 72])
def test_image_size_must_hold_whole_patches(image_size: int) -> None:
    with pytest.raises(SettingsError, match=str(image_size)):
        tiny(image_size)


def test_odd_width_is_refused(config: ModelConfig) -> None:
    with pytest.raises(SettingsError, match="17"):
        dataclasses.replace(config, width=17)
