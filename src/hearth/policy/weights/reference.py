"""The settings with which hearth's network is the public implementation's, weight for weight.

docs/method.md lists where hearth's own defaults choose otherwise, and why.
"""

from __future__ import annotations

from hearth.benchmark.benchmark import Benchmark, load_benchmark
from hearth.core.sections import ModelSettings, RuntimeSettings
from hearth.model import presets
from hearth.model.configuration import ModelConfig
from hearth.model.inpainting import InpaintingRules

BENCHMARK = "behavior-2025"
IMAGE_SIZE = 224  # pixels
HORIZON = 30

# How the public sampler applies inpainting; no parameter depends on it.
INPAINTING_RULES = InpaintingRules(threshold="time", large_correction="batch")


def reference_settings() -> ModelSettings:
    """The model section of the winning run, every choice on the public code's side."""
    return ModelSettings(
        preset="pi05",
        flow_samples=15,
        correlated_noise=True,
        correlation_shrinkage=0.5,
        stage_loss_weight=0.1,
        stage_input=True,
        kv_mixing=True,
        knowledge_insulation=False,
        fast_loss_weight=0.05,
        fast_vocabulary=1024,
        fast_own_ids=False,
        state_tokens="discretised",
        state_bins="unit",
        padded_state_tokens=True,
        suffix_positions="static",
        padded_action_loss=True,
        vision_trainable=True,  # the public flag that should freeze it has no effect
    )


def reference_runtime() -> RuntimeSettings:
    """How the winning system acts (report, 7), without its hand-written task lists."""
    return RuntimeSettings(flow_steps=20, actions_to_execute=26, actions_to_keep=4, compression=1.3)


def reference_config(benchmark: Benchmark | None = None) -> ModelConfig:
    """The network of `reference_settings`, for the 2025 benchmark unless another is given."""
    facts = benchmark or load_benchmark(BENCHMARK)
    return presets.config(reference_settings(), facts, IMAGE_SIZE, HORIZON)
