"""Compare the network: tokens, masks, backbone, mixing, expert, losses, gradients."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hearth.model.fast_tokens import targets_of
from hearth.model.losses import fast_accuracy, fast_loss
from hearth.model.masks import prefix_blocks
from hearth.model.state_tokens import bin_edges, discretise
from tests.parity.checks import (
    FED_BY_SINE_COSINE,
    FLOW,
    SINE_COSINE,
    Check,
    close,
    close_to_rounding,
    equal,
)
from tests.parity.golden import Golden
from tests.parity.reference_network import CAMERAS, ReferenceNetwork

# Gradients that vanish, such as that of SigLIP's key bias, are rounding on both sides.
_ROUNDING = 2e-7
_NAMES = (
    *(f"base_vel_{axis}" for axis in "xyz"),
    *(f"trunk_{joint}" for joint in range(4)),
    *(f"left_arm_{joint}" for joint in range(7)),
    "left_gripper",
    *(f"right_arm_{joint}" for joint in range(7)),
    "right_gripper",
)


def prefix(golden: Golden, reference: ReferenceNetwork, *, some_cameras: bool) -> list[Check]:
    """From images and numbers to tokens, masks and positions."""
    recorded, inputs = golden.outputs_of(some_cameras), golden.inputs
    ours = reference.training_passes[some_cameras].tokens
    shape = (len(inputs["state"]), ours.tokens.shape[1])
    blocks = np.asarray(prefix_blocks(reference.config, inputs["fast_tokens"].shape[1]))
    starts = np.concatenate([[False], np.diff(blocks) != 0])
    checks = [
        equal("valid prefix tokens", ours.valid, recorded["prefix_mask"]),
        equal("first tokens of blocks", starts, recorded["prefix_ar_mask"]),
        equal("attention mask", np.broadcast_to(ours.attention_mask, (*shape, shape[1])),
              recorded["prefix_attn_mask"]),
        equal("prefix positions", np.broadcast_to(ours.positions, shape),
              recorded["positions_prefix"]),
    ]  # fmt: skip
    if some_cameras:
        return checks
    kept, theirs = kept_tokens(recorded), recorded["prefix_tokens"]
    length = reference.config.tokens_per_camera
    images = ours.images.reshape(len(ours.images), -1, ours.images.shape[-1])
    for index, camera in enumerate(CAMERAS):
        rows = kept // length == index
        checks.append(
            close_to_rounding(f"vision tokens of {camera}", images[:, kept[rows]], theirs[:, rows])
        )
        if f"siglip/{CAMERAS[camera]}" in recorded:
            whole = recorded[f"siglip/{CAMERAS[camera]}"]
            checks.append(
                close_to_rounding(f"SigLIP's tokens of {camera}", ours.images[:, index], whole)
            )
    edges = bin_edges(reference.config.state_ranges)[0]
    bins = discretise(reference.batch(some_cameras=False)["state"], reference.config.state_ranges)
    return [
        *checks,
        close("prefix tokens", ours.tokens[:, kept], theirs, atol=FED_BY_SINE_COSINE),
        close("state bin edges", edges, recorded["state_bin_edges"], atol=1e-7),
        equal("state bins", bins, recorded["discretized_state"]),
    ]


def backbone(golden: Golden, reference: ReferenceNetwork, *, some_cameras: bool) -> list[Check]:
    """What the backbone makes of the prefix, at the valid tokens."""
    recorded, ours = golden.outputs_of(some_cameras), reference.training_passes[some_cameras]
    kept = kept_tokens(recorded)
    valid = recorded["prefix_mask"][:, kept]
    action = kept < recorded["prefix_len_train"]
    length = int(action.sum())
    before = (ours.backbone.keys, ours.backbone.values)
    mixed = (ours.prefix.context.keys, ours.prefix.context.values)
    checks = [
        close("backbone output", ours.backbone.tokens[:, kept], recorded["prefix_out"],
              atol=FED_BY_SINE_COSINE, where=valid),
    ]  # fmt: skip
    for name, key, index in (("keys", "kv_k", 0), ("values", "kv_v", 1)):
        layers = len(before[index])
        checks.append(close(f"{name} before mixing", before[index][:, :, kept], recorded[key],
                            atol=FED_BY_SINE_COSINE, where=_layered(valid, layers)))  # fmt: skip
        if f"{key}_mixed" in recorded:
            layers = len(mixed[index])
            checks.append(close(f"{name} after mixing", mixed[index][:, :, kept[action]],
                                recorded[f"{key}_mixed"], atol=FED_BY_SINE_COSINE,
                                where=_layered(valid[:, :length], layers)))  # fmt: skip
    checks.append(
        close_to_rounding("stage logits", ours.prefix.stage_logits, recorded["stage_logits"])
    )
    if "fast_logits" in recorded:
        fast = recorded["prefix_mask"][:, -recorded["fast_logits"].shape[1] :]
        checks.append(close("FAST logits", ours.prefix.fast_logits, recorded["fast_logits"],
                            atol=FED_BY_SINE_COSINE, where=fast))  # fmt: skip
    return checks


def expert(golden: Golden, reference: ReferenceNetwork, *, some_cameras: bool) -> list[Check]:
    """The action expert over the flow samples."""
    recorded, ours = golden.outputs_of(some_cameras), reference.training_passes[some_cameras]
    context = ours.prefix.context
    horizon = reference.config.horizon
    batch = len(golden.inputs["state"])
    sees = np.broadcast_to(context.mask[:, None], (batch, horizon, context.mask.shape[1]))
    sees = np.concatenate([sees, np.ones((batch, horizon, horizon), bool)], axis=-1)
    start = np.broadcast_to(context.start[:, None], (batch, 1))
    checks = [
        equal("who the actions see", sees, recorded["suffix_attn_mask"]),
        equal("positions of actions", start + np.arange(horizon),
              recorded["suffix_positions_train"]),
        close("expert output", _samples_first(ours.suffix_output), recorded["suffix_out"],
              atol=FED_BY_SINE_COSINE),
        close("velocity", _samples_first(ours.velocity), recorded["v_t"], atol=FLOW),
    ]  # fmt: skip
    if not some_cameras:
        checks += [
            close("noisy actions", _samples_first(ours.noisy), recorded["x_t"], atol=1e-6),
            close_to_rounding("action tokens", _samples_first(ours.suffix_tokens),
                              recorded["suffix_tokens"]),
            close("time condition", np.moveaxis(ours.condition, 1, 0), recorded["adarms_cond"],
                  atol=SINE_COSINE),
        ]  # fmt: skip
    return checks


def losses(golden: Golden, reference: ReferenceNetwork, *, some_cameras: bool) -> list[Check]:
    """Every loss term; hearth's are means over the batch where the recorded ones are per sample."""
    recorded, ours = golden.outputs_of(some_cameras), reference.training_passes[some_cameras]
    errors, mine = ours.errors, ours.losses
    config = reference.config
    target = np.moveaxis(reference.draws.noise, 1, 0) - golden.inputs["actions"]
    squares = np.square(_samples_first(ours.velocity) - target)
    fast = targets_of(reference.batch(some_cameras=some_cameras))
    logits = ours.prefix.fast_logits

    def mean(name: str) -> float:
        return float(np.mean(recorded[name]))

    def term(name: str, value: object, theirs: object) -> Check:
        return close(name, value, theirs, atol=FLOW, rtol=FLOW)

    without_stage = mine["action"] + config.fast_loss_weight * mine["fast"]
    checks = [
        term("squared errors, mean over samples", errors, recorded["action_loss_mean"]),
        term("action loss by flow sample", squares.mean(axis=(-2, -1)),
             recorded["action_loss_per_sample"]),
        term("action loss", errors.mean(axis=(-2, -1)), recorded["loss/action_loss"]),
        term("action loss, mean", mine["action"], mean("loss/action_loss")),
        term("FAST loss", fast_loss(logits, fast), recorded["loss/fast_loss"]),
        term("FAST loss, mean", mine["fast"], mean("loss/fast_loss")),
        term("FAST accuracy", fast_accuracy(logits, fast), recorded["loss/fast_accuracy"]),
        term("FAST accuracy, mean", mine["fast_accuracy"], mean("loss/fast_accuracy")),
        term("stage loss", mine["stage"], recorded["loss/subtask_loss"]),
        term("stage accuracy", mine["stage_accuracy"], recorded["loss/subtask_accuracy"]),
        term("total loss", mine["total"], mean("loss/total_loss")),
        term("total loss, not training", without_stage, mean("loss_eval/total_loss")),
        term("action loss, not training", mine["action"], mean("loss_eval/action_loss")),
        term("FAST loss, not training", mine["fast"], mean("loss_eval/fast_loss")),
    ]  # fmt: skip
    if "sq_err" in recorded:
        checks.append(term("squared errors", squares, recorded["sq_err"]))
    for dimension, name in enumerate(_NAMES):
        joint = errors[..., dimension].mean(axis=-1)
        checks.append(term(f"action loss of {name}", joint, recorded[f"loss/action_loss_{name}"]))
    return checks


def gradients(golden: Golden, reference: ReferenceNetwork) -> list[Check]:
    """The gradient of the total loss, array by array, by the public names."""
    recorded = golden.gradients
    value, ours = reference.gradients()
    names = sorted(name.removeprefix("norm/") for name in recorded if name.startswith("norm/"))
    checks = [
        equal("names", sorted(ours), names),
        close("loss", value, recorded["loss_scalar"], atol=FLOW),
        close("norm of all", _norm(ours.values()), recorded["global_norm"], atol=0.0, rtol=1e-3),
    ]
    for name in names:
        if f"grad/{name}" in recorded:
            theirs = recorded[f"grad/{name}"]
            scale = float(np.abs(theirs).max())
            checks.append(close(name, ours[name], theirs, atol=2e-3 * scale + _ROUNDING))
        norm = recorded[f"norm/{name}"]
        checks.append(close(f"norm {name}", _norm([ours[name]]), norm, atol=_ROUNDING, rtol=1e-3))
    return checks


def insulated_gradients(golden: Golden, reference: ReferenceNetwork) -> list[Check]:
    """Norms of gradients where the action loss stops at the backbone's keys and values."""
    recorded = golden.insulated
    value, ours = reference.gradients(insulated=True)
    names = sorted(name.removeprefix("norm/") for name in recorded if name.startswith("norm/"))
    return [
        equal("names", sorted(ours), names),
        close("loss", value, recorded["loss_scalar"], atol=FLOW),
        close("norm of all", _norm(ours.values()), recorded["global_norm"], atol=0.0, rtol=1e-3),
        *(
            close(f"norm {name}", _norm([ours[name]]), recorded[f"norm/{name}"],
                  atol=_ROUNDING, rtol=1e-3)
            for name in names
        ),
    ]  # fmt: skip


def kept_tokens(recorded: Mapping[str, np.ndarray]) -> np.ndarray:
    """int[tokens]: the prefix tokens that the set holds; a trimmed one leaves some out."""
    if "kept_tokens" in recorded:
        return recorded["kept_tokens"]
    return np.arange(recorded["prefix_mask"].shape[1])


def _samples_first(values: np.ndarray) -> np.ndarray:
    """[B, N, ...] -> [N, B, ...], as recorded."""
    return np.moveaxis(values, 1, 0)


def _layered(valid: np.ndarray, layers: int) -> np.ndarray:
    return np.broadcast_to(valid, (layers, *valid.shape))


def _norm(arrays: object) -> float:
    squares = [np.square(np.asarray(array, np.float64)).sum() for array in arrays]  # type: ignore[union-attr]
    return float(np.sqrt(np.sum(squares)))
