"""Compare what flows are made of: stage fusion, noise, sampling step by step with inpainting."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from hearth.model.embeddings import sine_cosine
from hearth.model.inpainting import propagation_matrix
from hearth.model.stage_fusion import normalised_stage
from tests.parity.checks import (
    ATOL,
    FED_BY_SINE_COSINE,
    FLOW,
    SINE_COSINE,
    Check,
    close,
    close_to_rounding,
    equal,
)
from tests.parity.golden import Golden
from tests.parity.reference_network import ReferenceNetwork


def sampling(golden: Golden, reference: ReferenceNetwork, *, some_cameras: bool) -> list[Check]:
    """Euler steps from the recorded noise, with and without inpainting, every point on the way."""
    recorded, inputs = golden.outputs_of(some_cameras), golden.inputs
    context = reference.prefix(some_cameras=some_cameras)
    start = np.asarray(context.context.start)[:, None] + np.arange(reference.config.horizon)
    positions = recorded["suffix_positions_infer"]
    checks = [
        close_to_rounding("stage logits", context.stage_logits, recorded["sample/stage_logits"]),
        equal("positions of actions", np.broadcast_to(start, positions.shape), positions),
    ]
    targets = {
        "sample": None,
        "inpaint23": inputs["initial_actions"],
        "inpaint23_far": inputs["initial_actions_far"],
        "inpaint32": inputs["initial_actions_32"],
    }
    for name, kept in targets.items():
        for steps in (10, 20):
            key = f"{name}{steps}" if kept is None else f"{name}_{steps}"
            if f"{key}/x_trace" not in recorded:
                continue
            trace = reference.flow(context, steps, kept)
            points = recorded[f"{key}/x_trace"]
            label = f"{name}, {steps} steps"
            checks += [
                close(f"{label}: points", trace.points, points, atol=FLOW),
                close(f"{label}: actions", trace.points[-1], recorded[f"{key}/actions"],
                      atol=FLOW),
            ]  # fmt: skip
            if f"{key}/v_trace" in recorded:
                checks.append(close(f"{label}: velocities", trace.velocities,
                                    recorded[f"{key}/v_trace"], atol=FLOW))  # fmt: skip
    if not some_cameras:
        bare = reference.prefix_without_masks()
        points = reference.flow(bare, 10).points
        checks.append(close("sample, 10 steps, no masks given", points,
                            recorded["sample10/x_trace"], atol=FLOW))  # fmt: skip
    return checks


def fusion(golden: Golden, reference: ReferenceNetwork) -> list[Check]:
    """Task and stage tokens, for the batch and for many (task, stage) pairs."""
    recorded, inputs, network = golden.outputs, golden.inputs, reference.network
    counts = reference.config.stage_counts
    half = reference.config.width // 2

    def encode(tasks: np.ndarray, stages: np.ndarray) -> np.ndarray:
        position = normalised_stage(jnp.asarray(tasks), jnp.asarray(stages), counts)
        return np.asarray(sine_cosine(position, half, 1e-3, 1.0))

    def fuse(tasks: np.ndarray, stages: np.ndarray) -> np.ndarray:
        embedded = network.task_table(jnp.asarray(tasks))
        return np.asarray(network.stage_fusion(embedded, jnp.asarray(tasks), jnp.asarray(stages)))

    tasks, stages = inputs["task_ids"], inputs["stages"]
    pairs, some = recorded["all_task_stage_pairs"].T, recorded["fused_pairs"].T
    ours = [(task, stage) for task, count in enumerate(counts) for stage in range(count)]
    return [
        close_to_rounding("task token", network.task_table(jnp.asarray(tasks)),
                          recorded["task_embedding"]),
        close("stage encoding", encode(tasks, stages), recorded["stage_sincos"],
              atol=SINE_COSINE),
        close("fusion tokens", fuse(tasks, stages), recorded["fused_task_stage"],
              atol=FED_BY_SINE_COSINE),
        equal("all tasks and stages", ours, recorded["all_task_stage_pairs"]),
        close("stage encoding of all", encode(*pairs), recorded["all_stage_sincos"],
              atol=SINE_COSINE),
        close("fusion tokens of many", fuse(*some), recorded["fused_pairs_out"],
              atol=FED_BY_SINE_COSINE),
    ]  # fmt: skip


def noise(golden: Golden, reference: ReferenceNetwork) -> list[Check]:
    """The noise's factor and the matrix by which inpainting moves the rest along."""
    recorded, inputs, config = golden.outputs, golden.inputs, reference.config
    horizon, width, padded = config.horizon, config.action_width, config.padded_action_width
    real = (np.arange(horizon)[:, None] * padded + np.arange(width)).ravel()
    factor = golden.tree["action_correlation_cholesky"]
    held = inputs["initial_actions"].shape[1] * width
    standard = inputs["sample_standard_normal"][:, real]
    correlated = (standard @ np.asarray(reference.cholesky).T).reshape(-1, horizon, width)
    matrix = np.zeros((horizon * padded, horizon * padded), np.float32)
    matrix[np.ix_(real[held:], real[:held])] = propagation_matrix(reference.cholesky, held)
    free, kept = recorded["U_indices_23"], recorded["O_indices_23"]
    return [
        close("factor of the noise", reference.cholesky, factor[np.ix_(real, real)], atol=2e-6),
        close("initial noise", correlated, inputs["sample_noise"][..., :width], atol=ATOL),
        equal("held entries", real[:held], kept),
        close("correction matrix", matrix[np.ix_(free, kept)], recorded["correction_matrix_23"],
              atol=ATOL),
    ]  # fmt: skip
