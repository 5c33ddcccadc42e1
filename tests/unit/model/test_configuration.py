from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from hearth.core.errors import SettingsError
from hearth.model.configuration import ModelConfig


def test_survives_json(config: ModelConfig) -> None:
    assert ModelConfig.from_dict(json.loads(json.dumps(config.as_dict()))) == config


def test_unknown_key_names_its_neighbour(config: ModelConfig) -> None:
    with pytest.raises(SettingsError, match="did you mean 'mlp_width'"):
        ModelConfig.from_dict({**config.as_dict(), "mlp_widht": 3})


def test_missing_key_is_named(config: ModelConfig) -> None:
    values = config.as_dict()
    del values["heads"]
    with pytest.raises(SettingsError, match="heads"):
        ModelConfig.from_dict(values)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 17}, "width 17 must be even"),
        ({"expert_width": 11}, "expert_width 11 must be even"),
        ({"image_size": 12}, "multiple of 8 pixels, not 12"),
        ({"kv_heads": 3}, "heads 4 must be a multiple of kv_heads 3"),
        ({"vision_heads": 5}, "vision_width 12 must be a multiple of vision_heads 5"),
        ({"vision_layers": 0}, "vision_width 12 must be the backbone's width 16"),
        ({"padded_action_width": 3}, "padded_action_width 3 is below the robot's 4"),
        ({"kv_mixing": False, "expert_layers": 3}, "as many layers as the backbone: 3 and 2"),
        ({"state_ranges": ((-1.0, 1.0),)}, "1 given, 4 needed"),
        ({"state_ranges": ((-1.0, 1.0),) * 3 + ((2.0, 2.0),)}, "range 3 is empty: 2.0 to 2.0"),
    ],
)
def test_impossible_sizes_are_refused(
    config: ModelConfig, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        dataclasses.replace(config, **changes)


def test_widths_follow_from_settings(config: ModelConfig) -> None:
    assert config.flow_width == config.action_width == 4
    assert dataclasses.replace(config, padded_action_loss=True).flow_width == 6
    assert config.state_token_count == 4
    assert dataclasses.replace(config, state_tokens="continuous").state_token_count == 1
    assert config.fast and not dataclasses.replace(config, fast_loss_weight=0.0).fast
