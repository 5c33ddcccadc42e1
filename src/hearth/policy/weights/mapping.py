"""The one table of parameter names: openpi's and the winning system's on the left, ours right.

Left names are paths below ``params`` of a checkpoint. Every row is exact in both directions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hearth.model.configuration import MAXIMUM_STAGES, ModelConfig
from hearth.model.fast_tokens import special_ids
from hearth.policy.weights.layout import Layout, Shape, Sizes

_IMAGE, _ENCODER = "PaliGemma/img", "PaliGemma/img/Transformer/encoderblock"
_ATTENTION = f"{_ENCODER}/MultiHeadDotProductAttention_0"
_LANGUAGE, _LAYERS = "PaliGemma/llm", "PaliGemma/llm/layers"
_PI05 = ("PaliGemma/", "action_in_proj/", "action_out_proj/", "time_mlp_in/", "time_mlp_out/")

# In a checkpoint, but no parameter: the noise's factor, which statistics give again.
BUFFERS = ("action_correlation_cholesky",)


@dataclass(frozen=True)
class Row:
    """Parameters that hold the same numbers.

    Attributes:
        theirs, ours: names on either side; several where one side keeps apart what the other
            keeps together.
        layout: how the axes go over.
    """

    theirs: tuple[str, ...]
    ours: tuple[str, ...]
    layout: Layout

    @property
    def pretrained(self) -> bool:
        """Whether plain Pi0.5 has it."""
        return self.theirs[0].startswith(_PI05)

    def their_shape(self, sizes: Sizes) -> Shape:
        """The shape of each of their arrays."""
        return self.layout.left.shape(sizes)

    def to_ours(self, arrays: list[np.ndarray], sizes: Sizes) -> dict[str, np.ndarray]:
        """Our parameters of their arrays."""
        return dict(zip(self.ours, self.layout.to_right(arrays, sizes), strict=True))

    def to_theirs(self, arrays: list[np.ndarray], sizes: Sizes) -> dict[str, np.ndarray]:
        """Their parameters of our arrays."""
        return dict(zip(self.theirs, self.layout.to_left(arrays, sizes), strict=True))


def rows(config: ModelConfig) -> list[Row]:
    """The rows of the parameters that this network has."""
    found = _vision_rows() + _backbone_rows() + _expert_rows() + _task_rows()
    if config.stage_input:
        found += _fusion_rows()
    if config.kv_mixing:
        found += _mixing_rows()
    if config.fast:
        found += _fast_rows()
    return found


def axis_sizes(config: ModelConfig) -> dict[str, int]:
    """The length of every axis named in the table."""
    side = config.image_size // config.patch_size
    return {
        "one": 1,
        "colours": 3,
        "patch_rows": config.patch_size,
        "patch_columns": config.patch_size,
        "places": side * side,
        "vision_layers": config.vision_layers,
        "vision": config.vision_width,
        "vision_mlp": config.vision_mlp_width,
        "vision_heads": config.vision_heads,
        "vision_head": config.vision_width // max(config.vision_heads, 1),
        "parts": 2,
        "layers": config.prefix_layers,
        "width": config.width,
        "mlp": config.mlp_width,
        "heads": config.heads,
        "kv_heads": config.kv_heads,
        "head": config.head_width,
        "words": config.embedding_rows,
        "expert_layers": config.expert_layers,
        "expert": config.expert_width,
        "expert_mlp": config.expert_mlp_width,
        "expert_out": config.expert_width,
        "modulations": 3 * config.expert_width,
        "actions": config.padded_action_width,
        "tasks": len(config.stage_counts),
        "task_stages": sum(config.stage_counts),
        "stages": MAXIMUM_STAGES,
        "half": config.width // 2,
        "fused": 2 * config.width,
        "fused_out": 2 * config.width,
        "width_out": config.width,
        "fast_rows": max(config.fast_vocabulary, *(row + 1 for row in special_ids(config))),
        "fast": config.fast_vocabulary,
    }


def _row(theirs: str | tuple[str, ...], ours: str | tuple[str, ...], axes: str) -> Row:
    left = (theirs,) if isinstance(theirs, str) else theirs
    right = (ours,) if isinstance(ours, str) else ours
    text = axes if "->" in axes else f"{axes} -> {axes}"
    return Row(left, right, Layout.parse(text, len(left), len(right)))


def _linear(theirs: str, ours: str, axes: str, stacked: str = "") -> list[Row]:
    """Kernel and bias of a linear layer, "inputs outputs"; `stacked` names the axis of layers."""
    outputs = axes.split()[-1]
    return [
        _row(f"{theirs}/kernel", f"{ours}/kernel", f"{stacked} {axes}"),
        _row(f"{theirs}/bias", f"{ours}/bias", f"{stacked} {outputs}"),
    ]


def _layer_norm(theirs: str, ours: str, axes: str) -> list[Row]:
    return [_row(f"{theirs}/{name}", f"{ours}/{name}", axes) for name in ("scale", "bias")]


def _vision_rows() -> list[Row]:
    """SigLIP."""
    ours = "vision/layers"
    queries = "vision_layers vision vision_heads vision_head"
    flat = "vision_layers vision (vision_heads vision_head)"
    both = ("key", "value")
    return [
        _row(f"{_IMAGE}/embedding/kernel", "vision/stem/layers/0/kernel",
             "patch_rows patch_columns colours vision -> "
             "(patch_rows patch_columns colours) vision"),
        _row(f"{_IMAGE}/embedding/bias", "vision/stem/layers/0/bias", "vision"),
        _row(f"{_IMAGE}/pos_embedding", "vision/position_table/vectors",
             "one places vision -> (one places) vision"),
        *_layer_norm(f"{_ENCODER}/LayerNorm_0", f"{ours}/attention_norm", "vision_layers vision"),
        _row(f"{_ATTENTION}/query/kernel", f"{ours}/attention/queries/kernel",
             f"{queries} -> {flat}"),
        _row(f"{_ATTENTION}/query/bias", f"{ours}/attention/queries/bias",
             "vision_layers vision_heads vision_head -> vision_layers (vision_heads vision_head)"),
        _row(tuple(f"{_ATTENTION}/{name}/kernel" for name in both),
             f"{ours}/attention/keys_values/kernel",
             f"parts {queries} -> vision_layers vision (parts vision_heads vision_head)"),
        _row(tuple(f"{_ATTENTION}/{name}/bias" for name in both),
             f"{ours}/attention/keys_values/bias",
             "parts vision_layers vision_heads vision_head -> "
             "vision_layers (parts vision_heads vision_head)"),
        _row(f"{_ATTENTION}/out/kernel", f"{ours}/attention/out/kernel",
             "vision_layers vision_heads vision_head vision -> "
             "vision_layers (vision_heads vision_head) vision"),
        _row(f"{_ATTENTION}/out/bias", f"{ours}/attention/out/bias", "vision_layers vision"),
        *_layer_norm(f"{_ENCODER}/LayerNorm_1", f"{ours}/feed_forward_norm",
                     "vision_layers vision"),
        *_linear(f"{_ENCODER}/MlpBlock_0/Dense_0", f"{ours}/feed_forward/up",
                 "vision vision_mlp", "vision_layers"),
        *_linear(f"{_ENCODER}/MlpBlock_0/Dense_1", f"{ours}/feed_forward/down",
                 "vision_mlp vision", "vision_layers"),
        *_layer_norm(f"{_IMAGE}/Transformer/encoder_norm", "vision/norm", "vision"),
        *_linear(f"{_IMAGE}/head", "vision/head", "vision width"),
    ]  # fmt: skip


def _transformer_rows(suffix: str, ours: str, layers: str, width: str, mlp: str) -> list[Row]:
    """Attention and feed-forward part of Gemma's layers; `suffix` tells the two experts apart."""
    return [
        _row(f"{_LAYERS}/attn/q_einsum{suffix}/w", f"{ours}/attention/queries/kernel",
             f"{layers} heads {width} head -> {layers} {width} (heads head)"),
        _row(f"{_LAYERS}/attn/kv_einsum{suffix}/w", f"{ours}/attention/keys_values/kernel",
             f"{layers} parts kv_heads {width} head -> {layers} {width} (parts kv_heads head)"),
        _row(f"{_LAYERS}/attn/attn_vec_einsum{suffix}/w", f"{ours}/attention/out/kernel",
             f"{layers} heads head {width} -> {layers} (heads head) {width}"),
        _row(f"{_LAYERS}/mlp{suffix}/gating_einsum",
             (f"{ours}/feed_forward/gate/kernel", f"{ours}/feed_forward/up/kernel"),
             f"{layers} parts {width} {mlp} -> parts {layers} {width} {mlp}"),
        _row(f"{_LAYERS}/mlp{suffix}/linear", f"{ours}/feed_forward/down/kernel",
             f"{layers} {mlp} {width}"),
    ]  # fmt: skip


def _backbone_rows() -> list[Row]:
    """Gemma 2B and its table of words."""
    ours = "backbone/layers"
    return [
        _row(f"{_LANGUAGE}/embedder/input_embedding", "state_table/vectors", "words width"),
        *_transformer_rows("", ours, "layers", "width", "mlp"),
        _row(f"{_LAYERS}/pre_attention_norm/scale", f"{ours}/attention_norm/scale", "layers width"),
        _row(f"{_LAYERS}/pre_ffw_norm/scale", f"{ours}/feed_forward_norm/scale", "layers width"),
        _row(f"{_LANGUAGE}/final_norm/scale", "backbone/norm/scale", "width"),
    ]


def _expert_rows() -> list[Row]:
    """Gemma 300M and the layers around it."""
    ours, axes = "expert/layers", "expert modulations"
    return [
        *_transformer_rows("_1", ours, "expert_layers", "expert", "expert_mlp"),
        *_linear(f"{_LAYERS}/pre_attention_norm_1/Dense_0",
                 f"{ours}/attention_norm/modulation", axes, "expert_layers"),
        *_linear(f"{_LAYERS}/pre_ffw_norm_1/Dense_0",
                 f"{ours}/feed_forward_norm/modulation", axes, "expert_layers"),
        *_linear(f"{_LANGUAGE}/final_norm_1/Dense_0", "expert/norm/modulation", axes),
        *_linear("action_in_proj", "expert/action_in", "actions expert"),
        *_linear("time_mlp_in", "expert/time_in", "expert expert_out"),
        *_linear("time_mlp_out", "expert/time_out", "expert expert_out"),
        *_linear("action_out_proj", "expert/action_out", "expert actions"),
    ]  # fmt: skip


def _task_rows() -> list[Row]:
    return [
        _row("task_embeddings/embedding", "task_table/vectors", "tasks width"),
        *_linear("stage_pred_from_vlm", "stage_head", "width stages"),
    ]


def _fusion_rows() -> list[Row]:
    ours = "stage_fusion"
    return [
        _row("task_stage_embeddings/embedding", f"{ours}/stage_table/vectors", "task_stages half"),
        *_linear("gate_sincos", f"{ours}/sine_cosine_gate", "fused half"),
        *_linear("gate_task_stage", f"{ours}/learned_gate", "fused half"),
        *_linear("gate_task", f"{ours}/task_gate", "fused width"),
        *_linear("fusion_layer1", f"{ours}/balanced_in", "fused fused_out"),
        *_linear("fusion_layer2", f"{ours}/balanced_out", "fused width"),
        *_linear("stage_projection", f"{ours}/stage_projection", "width width_out"),
    ]


def _mixing_rows() -> list[Row]:
    """Mixing weights are indexed by the expert's layer first, the backbone's second."""
    weights, bias = "expert_layers layers", "expert_layers kv_heads head"
    return [
        _row("kv_transform/k_coeffs", "kv_mixing/key_weights", weights),
        _row("kv_transform/v_coeffs", "kv_mixing/value_weights", weights),
        _row("kv_transform/k_bias", "kv_mixing/key_bias", bias),
        _row("kv_transform/v_bias", "kv_mixing/value_bias", bias),
    ]


def _fast_rows() -> list[Row]:
    return [
        _row("fast_token_embedding/embedding", "fast/table/vectors", "fast_rows width"),
        *_linear("fast_token_proj", "fast/head", "width fast"),
    ]
