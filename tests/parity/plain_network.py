"""The public network once more, written out in numpy from a checkpoint's own arrays and names.

It shares nothing with `hearth.model`, and computes in float64. First it has to agree with recorded
numbers; then it can say what is right for parameters, shapes and inputs that nobody recorded.

Shape letters: B batch, S prefix tokens, T tokens, W width, h query heads, k key and value heads,
d head width, N flow samples, H horizon, A padded action width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.parity.plain_functions import (
    attend,
    gelu,
    log_softmax,
    rms,
    rotate,
    sigmoid,
    sine_cosine,
    swish,
)

Arrays = Mapping[str, np.ndarray]
_IMAGE, _ENCODER = "PaliGemma/img", "PaliGemma/img/Transformer/encoderblock"
_LAYERS = "PaliGemma/llm/layers"
FAST_WEIGHT, STAGE_WEIGHT = 0.05, 0.1  # report, 6.3


@dataclass(frozen=True)
class Context:
    """What actions read: keys and values [layers, B, S, k, d], valid bool[B, S], start int[B]."""

    keys: np.ndarray
    values: np.ndarray
    valid: np.ndarray
    start: np.ndarray


class PlainNetwork:
    """The network of a checkpoint's arrays, for tasks with these numbers of stages."""

    def __init__(self, tree: Arrays, stage_counts: Sequence[int]) -> None:
        self.tree = {name: np.asarray(array, np.float64) for name, array in tree.items()}
        self.counts = np.asarray(stage_counts)

    def encode(
        self, batch: Mapping[str, Any], *, training: bool
    ) -> tuple[Context, np.ndarray, np.ndarray]:
        """Context, stage logits [B, 15] and FAST logits [B, L, V] (of training; else empty)."""
        cameras = list(batch["images"])
        images = [self._image(batch["images"][name]) for name in cameras]
        size, length = len(batch["task"]), images[0].shape[1]
        task = self.tree["task_embeddings/embedding"][batch["task"]]
        parts = [*images, task[:, None], self.fuse(batch["task"], batch["stage"])]
        parts.append(self._state(batch["state"]))
        there = [np.repeat(batch["image_mask"][name][:, None], length, 1) for name in cameras]
        ends = [sum(part.shape[1] for part in parts)]
        valid = np.concatenate([*there, np.ones((size, ends[0] - length * len(cameras)), bool)], 1)
        blocks = [0] * (length * len(cameras) + 1)
        blocks += [1] * (ends[0] - len(blocks))
        if training:
            tokens = np.where(batch["fast_token_mask"], batch["fast_tokens"], 0)[:, :-1]
            tokens = np.concatenate([np.zeros((size, 1), int), tokens], 1)
            parts.append(self.tree["fast_token_embedding/embedding"][tokens])
            first = np.ones((size, 1), bool)
            valid = np.concatenate([valid, first, batch["fast_token_mask"][:, :-1]], 1)
            blocks += range(2, 2 + tokens.shape[1])
        order = np.asarray(blocks)
        mask = (order[:, None] >= order) & valid[:, :, None] & valid[:, None]
        output, keys, values = self._backbone(
            np.concatenate(parts, 1), mask, np.cumsum(valid, 1) - 1
        )
        logits = self._linear("stage_pred_from_vlm", output[:, length * len(cameras)])
        logits = np.where(np.arange(15) < self.counts[batch["task"]][:, None], logits, -1e9)
        fast = self._linear("fast_token_proj", output[:, ends[0] :])
        seen = valid[:, : ends[0]]
        start = np.full(size, ends[0]) if training else seen.sum(1)
        return (
            Context(
                self._mix("k", keys[:, :, : ends[0]]), self._mix("v", values[:, :, : ends[0]]),
                seen, start,
            ),
            logits,
            fast,
        )  # fmt: skip

    def velocity(self, noisy: np.ndarray, time: np.ndarray, context: Context) -> np.ndarray:
        """[B, H, A] at flow times [B]."""
        width = self.tree["time_mlp_in/kernel"].shape[0]
        condition = swish(self._linear("time_mlp_in", sine_cosine(time, width, 4e-3, 4.0)))
        condition = swish(self._linear("time_mlp_out", condition))
        x, horizon = self._linear("action_in_proj", noisy), noisy.shape[1]
        positions = context.start[:, None] + np.arange(horizon)
        sees = np.concatenate([context.valid, np.ones((len(noisy), horizon), bool)], 1)
        mask = np.repeat(sees[:, None], horizon, 1)
        for layer in range(len(context.keys)):
            normed, gate = self._adaptive(f"{_LAYERS}/pre_attention_norm_1", layer, x, condition)
            queries, keys, values = self._project("_1", layer, normed, positions)
            keys = np.concatenate([context.keys[layer], keys], 1)
            values = np.concatenate([context.values[layer], values], 1)
            x = x + gate * self._combine("_1", layer, attend(queries, keys, values, mask))
            normed, gate = self._adaptive(f"{_LAYERS}/pre_ffw_norm_1", layer, x, condition)
            x = x + gate * self._gated("_1", layer, normed)
        x, _ = self._adaptive("PaliGemma/llm/final_norm_1", None, x, condition)
        return self._linear("action_out_proj", x)

    def loss(self, batch: Mapping[str, Any], noise: np.ndarray, time: np.ndarray) -> float:
        """The total loss for noise [N, B, H, A] and flow times [N, B]."""
        context, stage_logits, fast_logits = self.encode(batch, training=True)
        actions, mask = batch["actions"], batch["fast_token_mask"]
        errors = []
        for own, moment in zip(noise, time, strict=True):
            t = moment[:, None, None]
            velocity = self.velocity(t * own + (1 - t) * actions, moment, context)
            errors.append((velocity - (own - actions)) ** 2)
        fast = -np.take_along_axis(log_softmax(fast_logits), batch["fast_tokens"][..., None], -1)
        fast = (fast[..., 0] * mask).sum(1) / np.maximum(mask.sum(1), 1)
        stage = -np.take_along_axis(log_softmax(stage_logits), batch["stage"][:, None], -1)
        return float(np.mean(errors) + FAST_WEIGHT * fast.mean() + STAGE_WEIGHT * stage.mean())

    def sample(
        self,
        batch: Mapping[str, Any],
        noise: np.ndarray,
        steps: int,
        targets: np.ndarray | None = None,
        factor: np.ndarray | None = None,
    ) -> np.ndarray:
        """Every point [steps, B, H, A] of the flow from `noise` [B, H, A].

        With `targets` [B, K, D] the first K actions are held while flow time is above 0.3, and the
        rest moves along as the covariance L L^T of `factor` L says, unless that is too far.
        """
        context, _, _ = self.encode(batch, training=False)
        x, time, points = noise.astype(np.float64), np.float32(1.0), []
        for _ in range(steps):
            moment = np.full(len(x), time, np.float32)
            x = x - self.velocity(x, moment, context) / steps
            time = np.float32(time - np.float32(1.0 / steps))
            if targets is not None and factor is not None and time > np.float32(0.3):
                x = _held(x, noise, float(time), targets, factor)
            points.append(x)
        return np.stack(points)

    def fuse(self, task: np.ndarray, stage: np.ndarray) -> np.ndarray:
        """The four tokens [B, 4, W] of a stage of a task (report, appendix A)."""
        embedding = self.tree["task_embeddings/embedding"][task]
        last = np.maximum(self.counts[task] - 1, 1)
        table = self.tree["task_stage_embeddings/embedding"]
        learned = table[(np.cumsum(self.counts) - self.counts)[task] + stage]
        periodic = sine_cosine((stage / last).astype(np.float32), table.shape[1], 1e-3, 1.0)
        inputs = np.concatenate([embedding, periodic, learned], -1)
        gates = [sigmoid(self._linear(name, inputs))
                 for name in ("gate_task", "gate_sincos", "gate_task_stage")]  # fmt: skip
        hidden = np.maximum(self._linear("fusion_layer1", inputs), 0)
        gated = np.concatenate([periodic * gates[1], learned * gates[2]], -1)
        tokens = [
            embedding * gates[0],
            self._linear("fusion_layer2", hidden),
            self._linear("stage_projection", gated),
            np.concatenate([periodic, learned], -1),
        ]
        return np.stack(tokens, 1)

    def _image(self, image: np.ndarray) -> np.ndarray:
        """SigLIP: uint8[B, side, side, 3] -> [B, tokens, W]."""
        kernel = self.tree[f"{_IMAGE}/embedding/kernel"]
        patch, count = kernel.shape[0], image.shape[1] // kernel.shape[0]
        pixels = image.astype(np.float64) / 127.5 - 1.0
        pixels = pixels.reshape(len(image), count, patch, count, patch, 3)
        x = np.einsum("brpcqk,pqko->brco", pixels, kernel) + self.tree[f"{_IMAGE}/embedding/bias"]
        x = x.reshape(len(image), count * count, -1) + self.tree[f"{_IMAGE}/pos_embedding"]
        attention = f"{_ENCODER}/MultiHeadDotProductAttention_0"
        for layer in range(len(self.tree[f"{_ENCODER}/LayerNorm_0/scale"])):
            normed = self._layer_norm(f"{_ENCODER}/LayerNorm_0", layer, x)
            queries, keys, values = (
                np.einsum("btw,whd->bthd", normed, self.tree[f"{attention}/{name}/kernel"][layer])
                + self.tree[f"{attention}/{name}/bias"][layer]
                for name in ("query", "key", "value")
            )
            attended = attend(queries, keys, values, np.ones((1, x.shape[1], x.shape[1]), bool))
            x = x + np.einsum(
                "bthd,hdw->btw", attended, self.tree[f"{attention}/out/kernel"][layer]
            )
            x = x + self.tree[f"{attention}/out/bias"][layer]
            normed = self._layer_norm(f"{_ENCODER}/LayerNorm_1", layer, x)
            hidden = gelu(self._linear(f"{_ENCODER}/MlpBlock_0/Dense_0", normed, layer))
            x = x + self._linear(f"{_ENCODER}/MlpBlock_0/Dense_1", hidden, layer)
        x = self._layer_norm(f"{_IMAGE}/Transformer/encoder_norm", None, x)
        return self._linear(f"{_IMAGE}/head", x)

    def _state(self, state: np.ndarray) -> np.ndarray:
        """Tokens [B, A, W] of the bins -1..1 of every dimension, padding included."""
        table = self.tree["PaliGemma/llm/embedder/input_embedding"]
        edges = np.linspace(-1, 1, 257)[:-1].astype(np.float32)
        bins = np.clip(np.digitize(state, edges) - 1, 0, 255)
        return table[bins] * table.shape[1] ** 0.5

    def _backbone(
        self, x: np.ndarray, mask: np.ndarray, positions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Output [B, S, W], keys and values [layers, B, S, k, d]."""
        cache = []
        for layer in range(len(self.tree[f"{_LAYERS}/mlp/linear"])):
            scale = self.tree[f"{_LAYERS}/pre_attention_norm/scale"][layer]
            queries, keys, values = self._project("", layer, rms(x) * (1 + scale), positions)
            cache.append((keys, values))
            x = x + self._combine("", layer, attend(queries, keys, values, mask))
            scale = self.tree[f"{_LAYERS}/pre_ffw_norm/scale"][layer]
            x = x + self._gated("", layer, rms(x) * (1 + scale))
        x = rms(x) * (1 + self.tree["PaliGemma/llm/final_norm/scale"])
        return x, *(np.stack(several) for several in zip(*cache, strict=True))  # type: ignore[return-value]

    def _project(
        self, suffix: str, layer: int, x: np.ndarray, positions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        queries = np.einsum(
            "btw,hwd->bthd", x, self.tree[f"{_LAYERS}/attn/q_einsum{suffix}/w"][layer]
        )
        both = self.tree[f"{_LAYERS}/attn/kv_einsum{suffix}/w"][layer]
        keys, values = (np.einsum("btw,kwd->btkd", x, part) for part in both)
        return rotate(queries, positions), rotate(keys, positions), values

    def _combine(self, suffix: str, layer: int, attended: np.ndarray) -> np.ndarray:
        kernel = self.tree[f"{_LAYERS}/attn/attn_vec_einsum{suffix}/w"][layer]
        return np.einsum("bthd,hdw->btw", attended, kernel)

    def _gated(self, suffix: str, layer: int, x: np.ndarray) -> np.ndarray:
        gate, up = self.tree[f"{_LAYERS}/mlp{suffix}/gating_einsum"][layer]
        return (gelu(x @ gate) * (x @ up)) @ self.tree[f"{_LAYERS}/mlp{suffix}/linear"][layer]

    def _mix(self, kind: str, cached: np.ndarray) -> np.ndarray:
        """Every expert layer's own sum of all layers (report, 4.3)."""
        mixed = np.einsum("ji,i...->j...", self.tree[f"kv_transform/{kind}_coeffs"], cached)
        return mixed + self.tree[f"kv_transform/{kind}_bias"][:, None, None]

    def _adaptive(
        self, name: str, layer: int | None, x: np.ndarray, condition: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        both = self._linear(f"{name}/Dense_0", condition, layer)[:, None]
        scale, shift, gate = np.split(both, 3, -1)
        return rms(x) * (1 + scale) + shift, gate

    def _linear(self, name: str, x: np.ndarray, layer: int | None = None) -> np.ndarray:
        kernel, bias = self.tree[f"{name}/kernel"], self.tree[f"{name}/bias"]
        return x @ kernel + bias if layer is None else x @ kernel[layer] + bias[layer]

    def _layer_norm(self, name: str, layer: int | None, x: np.ndarray) -> np.ndarray:
        scale, bias = self.tree[f"{name}/scale"], self.tree[f"{name}/bias"]
        if layer is not None:
            scale, bias = scale[layer], bias[layer]
        return (x - x.mean(-1, keepdims=True)) / np.sqrt(
            x.var(-1, keepdims=True) + 1e-6
        ) * scale + bias


def _held(
    x: np.ndarray, noise: np.ndarray, time: float, targets: np.ndarray, factor: np.ndarray
) -> np.ndarray:
    """Equations of section 7.1: set what is known, move the rest by its conditional mean."""
    batch, kept, width = targets.shape
    covariance = factor.astype(np.float64) @ factor.T.astype(np.float64)
    known = kept * width
    desired = (1 - time) * targets + time * noise[:, :kept, :width]
    step = (desired - x[:, :kept, :width]).reshape(batch, -1)
    moved = step @ np.linalg.solve(covariance[:known, :known], covariance[:known, known:])
    x = x.copy()
    x[:, :kept, :width] = desired
    if np.abs(moved).max() <= 1.0:  # of the whole batch, in the public code
        x[:, kept:, :width] += moved.reshape(batch, -1, width)
    return x
