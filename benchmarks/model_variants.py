"""The networks that benchmarks/model.py compares, and batches for them."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hearth.benchmark.benchmark import load_benchmark
from hearth.core.sections import ModelSettings
from hearth.model.configuration import ModelConfig
from hearth.model.presets import config
from hearth.policy.weights.reference import reference_config

HORIZON = 30
FAST_TOKENS = 200  # length that the winning run pads to
IMAGE_SIZES = {"tiny": 64, "small": 128, "pi05": 224}
FAST_LOSS_WEIGHT = 0.05  # report, 6.3.3


def our_config(preset: str) -> ModelConfig:
    """The preset with the losses of the report and hearth's defaults elsewhere."""
    # Bins between quantiles have the same shapes, but would need statistics.
    settings = ModelSettings.model_validate(
        {"preset": preset, "fast_loss_weight": FAST_LOSS_WEIGHT, "state_bins": "unit"}
    )
    return config(settings, load_benchmark("behavior-2025"), IMAGE_SIZES[preset], HORIZON)


def plain_config(preset: str) -> ModelConfig:
    """The public choices: trained vision, a loss over 32 dimensions, full rematerialisation."""
    if preset == "pi05":
        return dataclasses.replace(reference_config(), remat="full")
    return dataclasses.replace(
        our_config(preset), vision_trainable=True, padded_action_width=32,
        padded_action_loss=True, remat="full",
    )  # fmt: skip


def batch_shapes(model: ModelConfig, size: int) -> dict[str, Any]:
    """Shapes of a training batch in the loader's layout."""
    return jax.eval_shape(lambda: jax.tree.map(jnp.asarray, random_batch(model, size)))


def random_batch(model: ModelConfig, size: int, seed: int = 0) -> dict[str, Any]:
    """A batch of noise in the loader's layout."""
    random = np.random.default_rng(seed)
    used = [task for task, count in enumerate(model.stage_counts) if count]
    task = random.choice(used, size).astype(np.int32)
    pixels = (size, model.image_size, model.image_size, 3)
    batch = {
        "images": {name: random.integers(0, 256, pixels, np.uint8) for name in model.cameras},
        "state": random.standard_normal((size, model.action_width), np.float32),
        "actions": random.standard_normal((size, model.horizon, model.action_width), np.float32),
        "action_mask": np.ones((size, model.horizon), dtype=bool),
        "task": task,
        "stage": random.integers(0, np.asarray(model.stage_counts)[task]).astype(np.int32),
    }
    if model.fast:
        tokens = random.integers(0, model.fast_vocabulary, (size, FAST_TOKENS))
        batch["fast_tokens"] = tokens.astype(np.int32)
        batch["fast_token_mask"] = np.ones((size, FAST_TOKENS), dtype=bool)
    return batch


def observation_shapes(model: ModelConfig, size: int) -> dict[str, Any]:
    """Shapes of what a policy sees."""
    wanted = ("images", "state", "task", "stage")
    shapes = batch_shapes(model, size)
    return {name: shapes[name] for name in wanted}


def factor_shape(model: ModelConfig) -> jax.ShapeDtypeStruct:
    """Shape of the flow noise's factor."""
    side = model.horizon * model.action_width
    return jax.ShapeDtypeStruct((side, side), jnp.float32)
