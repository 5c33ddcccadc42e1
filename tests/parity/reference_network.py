"""hearth's network with the imported checkpoint of a recorded set, and its passes compiled once."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hearth.model.configuration import ModelConfig
from hearth.model.inpainting import Inpainting
from hearth.model.losses import FlowDraws, flow_errors, losses_of_draws, pad_actions
from hearth.model.policy_network import PolicyNetwork, Prefix, PrefixTokens
from hearth.model.sampling import Trace, trace_flow
from hearth.model.transformer import BackboneOutput
from hearth.policy.network import NetworkDefinition, Parameters
from hearth.policy.weights.importing import ImportReport, parameters_of_tree
from hearth.policy.weights.mapping import axis_sizes, rows
from hearth.policy.weights.reference import INPAINTING_RULES, reference_config
from tests.parity.golden import Golden

# Everything runs once or a few times, so that compiling is most of its cost.
_QUICKLY = {"xla_backend_optimization_level": 0}
CAMERAS = {
    "head": "base_0_rgb",
    "left_wrist": "left_wrist_0_rgb",
    "right_wrist": "right_wrist_0_rgb",
}


class Pass(NamedTuple):
    """One training pass: the prefix on its way, the expert's output, and the losses."""

    tokens: PrefixTokens
    backbone: BackboneOutput
    prefix: Prefix
    noisy: jax.Array
    suffix_tokens: jax.Array
    condition: jax.Array
    suffix_output: jax.Array
    velocity: jax.Array
    errors: jax.Array
    losses: dict[str, jax.Array]


class ReferenceNetwork:
    """The network of a recorded set."""

    def __init__(self, golden: Golden) -> None:
        self.golden = golden
        self.config = config_of(golden)
        self.definition = NetworkDefinition(self.config)

    @cached_property
    def imported(self) -> tuple[Parameters, ImportReport]:
        tree = dict(self.golden.tree)
        found, report = parameters_of_tree(
            tree, self.definition, str(self.golden.path), self.golden.meta["name"]
        )
        return self.definition.check(found, report.source), report

    @property
    def parameters(self) -> Parameters:
        return self.imported[0]

    @cached_property
    def network(self) -> PolicyNetwork:
        return self.definition.build(self.parameters)

    @cached_property
    def cholesky(self) -> jax.Array:
        return jnp.asarray(self.golden.statistics.cholesky(float(self.golden.inputs["beta"])))

    def batch(self, *, some_cameras: bool) -> dict[str, Any]:
        """The recorded training batch, with all cameras or with some of them masked."""
        inputs = self.golden.inputs
        masks = "image_mask_partial" if some_cameras else "image_mask"
        width = self.config.action_width
        return {
            "images": {ours: inputs[f"image_u8/{name}"] for ours, name in CAMERAS.items()},
            "image_mask": {ours: inputs[f"{masks}/{name}"] for ours, name in CAMERAS.items()},
            "state": inputs["state"][:, :width],
            "task": inputs["task_ids"],
            "stage": inputs["stages"],
            "fast_tokens": inputs["fast_tokens"],
            "fast_token_mask": inputs["fast_token_mask"],
            "actions": inputs["actions"][..., :width],
            "action_mask": np.ones(inputs["actions"].shape[:2], dtype=bool),
        }

    @cached_property
    def draws(self) -> FlowDraws:
        """The recorded noise and times, samples of a batch element side by side."""
        inputs = self.golden.inputs
        return FlowDraws(np.moveaxis(inputs["flow_noise"], 0, 1), inputs["flow_time"].T)  # type: ignore[arg-type]

    @cached_property
    def training_passes(self) -> dict[bool, Pass]:
        """With all cameras (False) and with some masked (True)."""
        compiled = jax.jit(self._training_pass, compiler_options=_QUICKLY)
        return {
            some: jax.device_get(
                compiled(self.parameters, self.batch(some_cameras=some), self.draws)
            )
            for some in (False, True)
        }

    def _training_pass(
        self, parameters: Parameters, batch: dict[str, Any], draws: FlowDraws
    ) -> Pass:
        network, config = self.definition.build(parameters), self.config
        tokens = network.embed(batch, training=True)
        backbone = network.transform(tokens, all_rows=True)
        prefix = network.read(tokens, backbone, batch["task"], training=True)
        target = pad_actions(batch["actions"], config.flow_width)[:, None]
        time = draws.time[..., None, None]
        noisy = time * draws.noise + (1.0 - time) * target
        expert = network.expert_pass(noisy, draws.time, prefix.context)
        return Pass(
            tokens,
            backbone,
            prefix,
            noisy,
            expert.tokens,
            expert.condition,
            expert.output,
            expert.velocity,
            flow_errors(network, prefix, batch["actions"], draws, config),
            losses_of_draws(network, batch, draws, config),
        )

    def gradients(self, *, insulated: bool = False) -> tuple[float, dict[str, np.ndarray]]:
        """The total loss and its gradient by the public names."""
        config = replace(self.config, knowledge_insulation=insulated)
        definition = NetworkDefinition(config)

        def loss(parameters: Parameters, batch: dict[str, Any], draws: FlowDraws) -> jax.Array:
            return losses_of_draws(definition.build(parameters), batch, draws, config)["total"]

        batch = self.batch(some_cameras=False)
        compiled = jax.jit(jax.value_and_grad(loss), compiler_options=_QUICKLY)
        value, gradient = compiled(self.parameters, batch, self.draws)
        return float(value), self.by_public_name(jax.device_get(gradient))

    def by_public_name(self, ours: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Arrays by our names -> by the public code's."""
        sizes, theirs = axis_sizes(self.config), {}
        for row in rows(self.config):
            theirs.update(row.to_theirs([np.asarray(ours[name]) for name in row.ours], sizes))
        return theirs

    def prefix(self, *, some_cameras: bool) -> Prefix:
        """The prefix at inference: no FAST tokens."""
        return self._encode(self.parameters, self.batch(some_cameras=some_cameras))

    def prefix_without_masks(self) -> Prefix:
        """The prefix of an observation that says nothing of missing cameras."""
        batch = self.batch(some_cameras=False)
        del batch["image_mask"]
        return self._encode(self.parameters, batch)

    @cached_property
    def _encode(self) -> Any:
        return jax.jit(
            lambda parameters, batch: self.definition.build(parameters).encode(batch),
            compiler_options=_QUICKLY,
        )

    def flow(self, prefix: Prefix, steps: int, targets: np.ndarray | None = None) -> Trace:
        """The flow from the recorded noise, inpainted as the public code does."""
        inpainting = None
        if targets is not None:
            inpainting = Inpainting(jnp.asarray(targets), jnp.ones(len(targets), dtype=bool))
        noise = self.golden.inputs["sample_noise"]
        trace = self._flow(self.parameters, prefix, noise, self.cholesky, inpainting, steps=steps)
        return jax.device_get(trace)

    @cached_property
    def _flow(self) -> Any:
        @partial(jax.jit, static_argnames="steps", compiler_options=_QUICKLY)
        def flow(
            parameters: Parameters,
            prefix: Prefix,
            noise: jax.Array,
            cholesky: jax.Array,
            inpainting: Inpainting | None,
            *,
            steps: int,
        ) -> Trace:
            network = self.definition.build(parameters)
            return trace_flow(network, prefix, noise, cholesky, steps, inpainting, INPAINTING_RULES)

        return flow


def config_of(golden: Golden) -> ModelConfig:
    """The public configuration at the sizes of a recorded set."""
    meta = golden.meta
    backbone, expert = meta["gemma"]["vlm"], meta["gemma"]["action_expert"]
    vision, public = meta["siglip"], meta["config"]
    return replace(
        reference_config(golden.benchmark),
        horizon=meta["horizon"],
        padded_action_width=meta["action_dim"],
        state_ranges=((-1.0, 1.0),) * meta["action_dim"],
        width=backbone["width"],
        mlp_width=backbone["mlp_dim"],
        prefix_layers=backbone["depth"],
        heads=backbone["num_heads"],
        kv_heads=backbone["num_kv_heads"],
        head_width=backbone["head_dim"],
        expert_width=expert["width"],
        expert_mlp_width=expert["mlp_dim"],
        expert_layers=expert["depth"],
        vision_width=vision["width"],
        vision_mlp_width=vision["mlp_dim"],
        vision_heads=vision["num_heads"],
        vision_layers=vision["depth"],
        patch_size=vision["patch_size"][0],
        embedding_rows=meta["vocab"],
        flow_samples=meta["num_flow"],
        fast_vocabulary=meta["fast_vocab"],
        fast_loss_weight=public["fast_loss_weight"],
        stage_loss_weight=public["subtask_loss_weight"],
        knowledge_insulation=public["use_knowledge_insulation"],
        compute_dtype="float32",
        remat="none",
    )
