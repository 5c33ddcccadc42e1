"""Other parameters, inputs and shapes than the recorded ones, against the plain network.

The plain network has to give the recorded numbers first. Then it stands in for the public code on
sets that nobody recorded: other seeds, an action expert narrower than the backbone, other depths.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hearth.model.configuration import ModelConfig
from hearth.model.inpainting import Inpainting
from hearth.model.losses import FlowDraws, losses_of_draws
from hearth.model.sampling import trace_flow
from hearth.policy.network import NetworkDefinition
from hearth.policy.weights.importing import parameters_of_tree
from hearth.policy.weights.mapping import axis_sizes, rows
from hearth.policy.weights.reference import INPAINTING_RULES
from tests.parity.checks import FED_BY_SINE_COSINE, FLOW
from tests.parity.golden import HERE, Golden
from tests.parity.plain_network import PlainNetwork
from tests.parity.reference_network import CAMERAS, config_of

pytestmark = pytest.mark.xdist_group("parity")
_QUICKLY = {"xla_backend_optimization_level": 0}
STEPS, KEPT, FAST_LENGTH = 10, 4, 7
SHAPES = {
    11: {"expert_width": 16, "expert_mlp_width": 40},
    12: {"kv_heads": 2, "prefix_layers": 3, "expert_layers": 2, "expert_width": 24},
}  # by seed


class Unrecorded(NamedTuple):
    """A network that nobody recorded, with inputs: both sides and what they are asked."""

    config: ModelConfig
    tree: dict[str, np.ndarray]
    plain: PlainNetwork
    batch: dict[str, Any]
    noise: np.ndarray
    time: np.ndarray
    factor: np.ndarray


@pytest.fixture(scope="module")
def golden() -> Golden:
    return Golden(HERE / "golden" / "a")


@pytest.fixture(scope="module", params=SHAPES, ids=lambda seed: f"seed {seed}")
def unrecorded(request: pytest.FixtureRequest, golden: Golden) -> Unrecorded:
    seed: int = request.param
    config = replace(
        config_of(golden), **{
            "image_size": 28, "width": 32, "mlp_width": 48, "heads": 4, "head_width": 8,
            "prefix_layers": 2, "expert_layers": 2, "expert_mlp_width": 48, "vision_width": 16,
            "vision_mlp_width": 24, "vision_layers": 2, "embedding_rows": 256, "horizon": 6,
            "fast_vocabulary": 20, "flow_samples": 2, **SHAPES[seed],
        },
    )  # fmt: skip
    random = np.random.default_rng(seed)
    tree, sizes = {}, axis_sizes(config)
    for row in rows(config):
        for name in row.theirs:
            shape = row.their_shape(sizes)
            scale = 0.3 if name.rpartition("/")[2] in ("bias", "scale") else shape[-2] ** -0.5
            tree[name] = random.normal(0, scale, shape).astype(np.float32)
    return Unrecorded(
        config, tree, PlainNetwork(tree, config.stage_counts), _batch(config, random),
        random.standard_normal((2, 2, config.horizon, 32), np.float32),
        random.uniform(0.01, 1, (2, 2)).astype(np.float32), _factor(config, random),
    )  # fmt: skip


def _batch(config: ModelConfig, random: np.random.Generator) -> dict[str, Any]:
    task = random.choice(50, 2, replace=False)
    pixels = (2, config.image_size, config.image_size, 3)
    return {
        "images": {name: random.integers(0, 256, pixels, np.uint8) for name in CAMERAS},
        "image_mask": {
            name: np.array([True, name != "left_wrist"]) for name in CAMERAS
        },
        "state": np.pad(random.normal(0, 0.7, (2, 23)), ((0, 0), (0, 9))).astype(np.float32),
        "task": task,
        "stage": random.integers(0, np.asarray(config.stage_counts)[task]),
        "fast_tokens": random.integers(0, config.fast_vocabulary, (2, FAST_LENGTH)),
        "fast_token_mask": np.arange(FAST_LENGTH) < np.array([[FAST_LENGTH], [4]]),
        "actions": np.pad(random.normal(0, 1, (2, config.horizon, 23)), ((0, 0), (0, 0), (0, 9))),
    }  # fmt: skip


def _factor(config: ModelConfig, random: np.random.Generator) -> np.ndarray:
    """The factor of a random correlation, shrunk by half."""
    size = config.horizon * config.action_width
    rows = random.standard_normal((size, 40))
    covariance = rows @ rows.T
    scale = np.sqrt(np.diagonal(covariance))
    mixed = 0.5 * covariance / scale / scale[:, None] + 0.5 * np.eye(size)
    return np.linalg.cholesky(mixed).astype(np.float32)


def _for_hearth(batch: dict[str, Any]) -> dict[str, Any]:
    """The same batch without the padding dimensions, which hearth adds by itself."""
    actions = batch["actions"]
    return {
        **batch, "state": batch["state"][:, :23], "actions": actions[..., :23],
        "action_mask": np.ones(actions.shape[:2], bool),
    }  # fmt: skip


def test_the_plain_network_gives_the_recorded_numbers(golden: Golden) -> None:
    inputs, recorded = golden.inputs, golden.outputs
    plain = PlainNetwork(golden.tree, config_of(golden).stage_counts)
    batch = {
        "images": {ours: inputs[f"image_u8/{name}"] for ours, name in CAMERAS.items()},
        "image_mask": {
            ours: inputs[f"image_mask_partial/{name}"] for ours, name in CAMERAS.items()
        },
        "task": inputs["task_ids"], "stage": inputs["stages"],
        **{key: inputs[key] for key in ("state", "fast_tokens", "fast_token_mask", "actions")},
    }  # fmt: skip
    arguments = (inputs["flow_noise"], inputs["flow_time"])
    partial = plain.loss(batch, *arguments)
    assert partial == pytest.approx(golden.partial["loss/total_loss"].mean(), abs=FLOW)
    batch["image_mask"] = {name: np.ones(2, bool) for name in CAMERAS}
    loss = plain.loss(batch, *arguments)
    assert loss == pytest.approx(recorded["loss/total_loss"].mean(), abs=FLOW)
    assert abs(loss - partial) > 10 * FLOW  # masks matter
    context, stages, fast = plain.encode(batch, training=True)
    possible = np.isfinite(recorded["stage_logits"])
    np.testing.assert_allclose(stages[possible], recorded["stage_logits"][possible], atol=1e-4)
    np.testing.assert_allclose(fast, recorded["fast_logits"], atol=FED_BY_SINE_COSINE)
    velocity = plain.velocity(recorded["x_t"][0], inputs["flow_time"][0], context)
    np.testing.assert_allclose(velocity, recorded["v_t"][0], atol=FLOW)
    factor = golden.statistics.cholesky(float(inputs["beta"]))
    for name, targets in (("sample10", None), ("inpaint23_10", inputs["initial_actions"])):
        points = plain.sample(batch, inputs["sample_noise"], 10, targets, factor)
        np.testing.assert_allclose(points, recorded[f"{name}/x_trace"], atol=FLOW)


def test_hearth_trains_as_the_plain_network(unrecorded: Unrecorded) -> None:
    """Loss and, array by array, the slope of the loss along a random direction."""
    config, tree, plain, batch, noise, time, _ = unrecorded
    definition = NetworkDefinition(config)
    found, _ = parameters_of_tree(dict(tree), definition, "made up", "made up")
    parameters = definition.check(found, "made up")
    draws = FlowDraws(jnp.moveaxis(noise, 0, 1), jnp.asarray(time.T))

    def loss(parameters: dict[str, jax.Array], batch: dict[str, Any]) -> jax.Array:
        return losses_of_draws(definition.build(parameters), batch, draws, config)["total"]

    compiled = jax.jit(jax.value_and_grad(loss), compiler_options=_QUICKLY)
    value, gradient = jax.device_get(compiled(parameters, _for_hearth(batch)))
    assert float(value) == pytest.approx(plain.loss(batch, noise, time), abs=FLOW)
    sizes, slopes = axis_sizes(config), {}
    for row in rows(config):
        slopes.update(row.to_theirs([gradient[name] for name in row.ours], sizes))
    assert slopes.keys() == tree.keys()
    random = np.random.default_rng(0)
    for name, ours in slopes.items():
        direction, step = random.standard_normal(ours.shape), 1e-6
        before, after = (
            PlainNetwork(
                {**tree, name: tree[name] + side * step * direction}, config.stage_counts
            ).loss(batch, noise, time)
            for side in (-1, 1)
        )
        expected = (after - before) / (2 * step)
        norm = float(np.linalg.norm(ours))
        assert np.sum(ours * direction) == pytest.approx(expected, abs=5e-3 * norm + 1e-5), name


def test_hearth_samples_as_the_plain_network(unrecorded: Unrecorded) -> None:
    """Every Euler step with inpainting, with one camera masked."""
    config, tree, plain, batch, noise, _, factor = unrecorded
    definition = NetworkDefinition(config)
    found, _ = parameters_of_tree(dict(tree), definition, "made up", "made up")
    parameters = definition.check(found, "made up")
    targets = (batch["actions"][:, :KEPT, :23] + noise[0][:, :KEPT, :23]) / 2

    def flow(parameters: dict[str, jax.Array], batch: dict[str, Any], inpainting: Any) -> Any:
        network = definition.build(parameters)
        prefix = network.encode(batch)
        rules = INPAINTING_RULES
        trace = trace_flow(network, prefix, noise[0], factor, STEPS, inpainting, rules)  # type: ignore[arg-type]
        return trace.points, prefix.stage_logits

    inpainting = Inpainting(jnp.asarray(targets), jnp.ones(2, bool))
    compiled = jax.jit(flow, compiler_options=_QUICKLY)
    points, logits = jax.device_get(compiled(parameters, _for_hearth(batch), inpainting))
    expected = plain.sample(batch, noise[0], STEPS, targets, factor)
    np.testing.assert_allclose(points, expected, atol=FLOW)
    np.testing.assert_allclose(logits, plain.encode(batch, training=False)[1], atol=1e-4)
    free = plain.sample(batch, noise[0], STEPS)
    assert np.abs(free - expected)[:, :, KEPT:].max() > 100 * FLOW  # the rest moved along
