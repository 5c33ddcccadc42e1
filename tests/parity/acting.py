"""Compare what happens around the network: state, normalisation, stages, chunking, correction."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import jax.numpy as jnp
import numpy as np

from hearth.benchmark.benchmark import stage_label
from hearth.core.actions import to_absolute, to_delta
from hearth.core.data_sections import TokenizerSettings
from hearth.data.resize import resize_with_padding
from hearth.data.tokenizer import tokenize_chunks
from hearth.data.tokenizer.fast import between_quantiles
from hearth.model.losses import pad_actions
from hearth.policy.chunking import absolute_chunk, normalised_targets
from hearth.policy.compression import gripper_moves, gripper_spans, resample
from hearth.policy.correction import closure_table, correct
from hearth.policy.rules import Situation, decide
from hearth.policy.runner import Prediction, Request
from hearth.policy.runtime import Policy
from hearth.policy.voting import StageVote, track_stage
from tests.parity.checks import Check, close, equal
from tests.parity.golden import Golden

_SINGLE = 2e-6  # numbers of order 1 to 10 that hearth keeps as float32 and the recording as float64
_DOUBLE = 1e-9


def state(golden: Golden) -> list[Check]:
    """From proprioception to the normalised state; camera images."""
    recorded, robot = golden.policy, golden.benchmark.robot
    ours = robot.state_from_proprioception(recorded["proprio"])
    states = recorded["state23"][: len(recorded["abs_actions"])]
    return [
        close("state", ours, recorded["state23"], atol=_SINGLE),
        close("state, from single precision",
              robot.state_from_proprioception(recorded["proprio"].astype(np.float32)),
              recorded["state23_from_float32"], atol=_SINGLE),
        equal("delta mask", robot.delta_mask, recorded["delta_mask"]),
        close(
            "normalised state",
            golden.statistics.normalise_state(states),
            recorded["pipe/norm_state"],
            atol=_SINGLE,
        ),
        equal(
            "resized image",
            resize_with_padding(recorded["resize/in"], len(recorded["resize/out"])),
            recorded["resize/out"],
        ),
        *_normalisation(golden),
    ]  # fmt: skip


def _normalisation(golden: Golden) -> list[Check]:
    """The statistics as they came in, next to what the public code normalised with."""
    recorded, statistics = golden.policy, golden.statistics
    ours = {
        "state/mean": statistics.state_mean, "state/std": statistics.state_std,
        "state/q01": statistics.state_q01, "state/q99": statistics.state_q99,
        "actions/mean": statistics.action_mean, "actions/std": statistics.action_std,
        "actions/q01": statistics.action_q01, "actions/q99": statistics.action_q99,
        "actions/per_timestamp_mean": statistics.chunk_mean,
        "actions/per_timestamp_std": statistics.chunk_std,
    }  # fmt: skip
    # Standard deviations are what is divided by: the public code adds 1e-6 then.
    return [
        close(f"{name} of the statistics", mine, recorded[f"norm/{name}"], atol=2e-6)
        for name, mine in ours.items()
    ]


def actions(golden: Golden) -> list[Check]:
    """From absolute actions to what the network sees, and back."""
    recorded, statistics = golden.policy, golden.statistics
    mask = golden.benchmark.robot.delta_mask
    width = len(mask)
    chunks = recorded["abs_actions"]
    states = recorded["state23"][: len(chunks)]
    delta = to_delta(chunks, states, mask)
    normalised = statistics.normalise_actions(delta)
    predicted = recorded["pred_norm_actions"][..., :width]
    absolute = np.stack(
        [absolute_chunk(p, s, statistics, mask) for p, s in zip(predicted, states, strict=True)]
    )
    back = to_absolute(statistics.denormalise_actions(normalised), states, mask)
    kept = normalised_targets(recorded["pipe/initial_abs"], states[0], statistics, mask)
    theirs = recorded["pipe/norm_actions"]
    checks = [
        close("delta actions", delta, recorded["pipe/delta"], atol=_DOUBLE),
        close("normalised actions", normalised, theirs, atol=_SINGLE, rtol=_SINGLE),
        close("absolute actions", absolute, recorded["pipe/unnorm_abs"], atol=_SINGLE),
        close("there and back", back, chunks, atol=_SINGLE),
        close(
            "normalised inpainting targets",
            kept,
            recorded["pipe/initial_norm32"][:, :width],
            atol=_SINGLE,
            rtol=_SINGLE,
        ),
        close("there and back, theirs", back, recorded["pipe/roundtrip"], atol=_SINGLE),
    ]
    if "pipe/pad_actions" in recorded:
        padded = pad_actions(jnp.asarray(normalised), golden.meta["action_dim"])
        checks.append(close("padded actions", padded, recorded["pipe/pad_actions"],
                            atol=_SINGLE, rtol=_SINGLE))  # fmt: skip
    return checks


def tokens(golden: Golden) -> list[Check]:
    """What the FAST tokenizer reads, and how its tokens fill the network's places for them."""
    recorded, statistics = golden.policy, golden.statistics
    encoded = TokenizerSettings().dimensions()
    low, high = statistics.action_q01[encoded], statistics.action_q99[encoded]
    # Theirs takes normalised actions back with the plain deviation, though they were divided by
    # deviation + 1e-6: up to 2.1e-5 of its input in set a.
    taken_back = recorded["pipe/norm_actions"] * recorded["norm/actions/per_timestamp_std"]
    taken_back = taken_back + recorded["norm/actions/per_timestamp_mean"]
    read = between_quantiles(taken_back[..., encoded], low, high)
    theirs = recorded["pipe/fast_tokens"]
    # In the recording chunk i has the tokens 1, 2, ... 14 + 4 i.
    counting = SimpleNamespace(
        maximum_tokens=theirs.shape[1],
        encode_all=lambda chunks: [[*range(1, 15 + 4 * row)] for row in range(len(chunks))],
    )
    ours, mask = tokenize_chunks(counting, recorded["pipe/delta"])  # type: ignore[arg-type]
    return [
        # The public code clips here, hearth clips coefficients.
        close("tokenizer's input", np.clip(read, -1, 1), recorded["pipe/fast_in"], atol=_DOUBLE),
        equal("FAST tokens", ours, theirs),
        equal("valid FAST tokens", mask, recorded["pipe/fast_token_mask"]),
    ]


def stages(golden: Golden) -> list[Check]:
    """Stage labels of frames, and stages tracked from predictions."""
    recorded, counts = golden.policy, golden.benchmark.stage_counts()
    tasks, lengths, frames = recorded["stage_label/task_len_frame"].T
    labels = np.array(
        [
            stage_label(frame, length, counts[task])
            for task, length, frame in zip(tasks, lengths, frames, strict=True)
        ]
    )
    theirs = recorded["stage_label/stage"]
    # The public code divides float32 seconds, which may fall just short of a stage's first frame:
    # such a frame may have the stage before there, never the one after.
    first = frames * counts[tasks] % lengths == 0
    ahead = labels[first] - theirs[first]
    tracked, remembered = [], []
    for task, start, predictions in zip(
        recorded["vote/tasks"], recorded["vote/start_stage"], recorded["vote/pred"], strict=True
    ):
        vote = StageVote(int(start))
        for prediction in predictions:
            vote = track_stage(vote, int(prediction), int(counts[task]), golden.runtime)
            tracked.append(vote.stage)
            remembered.append(len(vote.history))
    shape = recorded["vote/pred"].shape
    return [
        equal("stage labels", labels[~first], theirs[~first]),
        equal("stage labels of stages' first frames, or one less", np.clip(ahead, 0, 1), ahead),
        equal("tracked stages", np.reshape(tracked, shape), recorded["vote/stage_after"]),
        equal(
            "remembered predictions",
            np.reshape(remembered, shape),
            recorded["vote/history_len_after"],
        ),
    ]


def chunking(golden: Golden) -> list[Check]:
    """Compression and what switches it off."""
    recorded, runtime = golden.policy, golden.runtime
    hands = recorded["gvar/left_right_in"][:, : runtime.actions_to_execute]
    spans = np.stack([gripper_spans(plan, (0, 1)) for plan in hands])
    moves = [gripper_moves(plan, (0, 1), runtime.compression_gripper_span) for plan in hands]
    return [
        close("26 actions in 20 steps", resample(recorded["interp/in26"], 20),
              recorded["interp/out20"], atol=_DOUBLE),
        close("30 actions in 17 steps", resample(recorded["interp/in30"], 17),
              recorded["interp/out17"], atol=_DOUBLE),
        equal("a gripper moves", moves, recorded["gvar/high"]),
        close("span of the left gripper", spans[:, 0], recorded["gvar/left"], atol=_DOUBLE),
        close("span of the right gripper", spans[:, 1], recorded["gvar/right"], atol=_DOUBLE),
    ]  # fmt: skip


def correction(golden: Golden) -> list[Check]:
    """Task rules and the gripper rule."""
    recorded, runtime, benchmark = golden.policy, golden.runtime, golden.benchmark
    grippers = benchmark.robot.gripper_dimensions
    closures = closure_table(golden.statistics.gripper_closed, runtime.gripper_closures, benchmark)
    chunks, reached = [], []
    for task, stage, current, chunk in zip(
        recorded["corr/task"],
        recorded["corr/stage"],
        recorded["corr/state"],
        recorded["corr/actions"],
        strict=True,
    ):
        rules = runtime.task_rules.get(golden.task_name(task), ())
        decision = decide(Situation(int(stage), current, grippers), rules, closures[task])
        chunks.append(correct(chunk, current, decision.opened, grippers))
        reached.append(decision.stage)
    return [
        close("corrected actions", np.stack(chunks), recorded["corr/actions_out"], atol=_DOUBLE),
        equal("stages after correction", reached, recorded["corr/stage_out"]),
    ]


class _Script:
    """Predicts the recorded chunks one after another, and remembers what it was asked."""

    def __init__(self, golden: Golden) -> None:
        benchmark = golden.benchmark
        self.bundle: Any = SimpleNamespace(
            path=golden.path,
            benchmark=benchmark,
            statistics=golden.statistics,
            image_size=8,
            tasks=benchmark.task_names,
            task_indices={task.index: task.name for task in benchmark.tasks},
        )
        self._recorded = golden.policy
        self._mask = benchmark.robot.delta_mask
        self.requests: list[Request] = []
        self.states: list[np.ndarray] = []

    def predict_batch(
        self, requests: Sequence[Request], padded_size: int | None = None
    ) -> list[Prediction]:
        number, statistics = len(self.requests), self.bundle.statistics
        self.requests += requests
        chunk = self._recorded["act/script_actions"][number]
        normalised = statistics.normalise_actions(to_delta(chunk, self.states[-1], self._mask))
        return [Prediction(normalised, self._recorded["act/script_logits"][number])]


def episode(golden: Golden) -> list[Check]:
    """An episode of 200 steps in which the network's answers are given."""
    recorded, benchmark = golden.policy, golden.benchmark
    robot, task = benchmark.robot, int(recorded["act/task"])
    script = _Script(golden)
    policy = Policy(script, golden.runtime, 0, task=golden.task_name(task))
    black = np.zeros((8, 8, 3), np.uint8)
    images = {camera.observation_key: black for camera in benchmark.cameras.values()}
    acted, tracked, asked = [], [], []
    for proprioception in recorded["act/proprio"]:
        script.states.append(robot.state_from_proprioception(proprioception))
        acted.append(policy.act({**images, robot.proprioception_key: proprioception}))
        tracked.append(policy.stage)
        asked.append(len(script.requests))
    theirs = recorded["act/call_initial_actions"]
    steps = np.flatnonzero(np.diff([0, *asked]))
    kept = np.full(theirs.shape, np.nan)
    for number, (request, step) in enumerate(zip(script.requests, steps, strict=True)):
        if request.kept is not None:
            kept[number] = absolute_chunk(
                request.kept, script.states[step], golden.statistics, robot.delta_mask
            )
    prompts = [(request.task, request.stage) for request in script.requests]
    none = np.isnan(theirs)
    return [
        close("executed actions", acted, recorded["act/actions_out"], atol=_SINGLE),
        equal("stages", tracked, recorded["act/stage_after"]),
        equal("predictions so far", asked, recorded["act/num_policy_calls"]),
        equal("task and stage asked", prompts, recorded["act/call_prompt"]),
        equal("asked without targets", np.isnan(kept), none),
        close("inpainting targets", np.where(none, 0.0, kept), np.where(none, 0.0, theirs),
              atol=_SINGLE),
    ]  # fmt: skip
