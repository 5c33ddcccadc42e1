"""A network small enough to compile in seconds, and batches for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hearth.model.configuration import ModelConfig
from hearth.model.losses import compute_losses
from hearth.model.policy_network import PolicyNetwork, Prefix

# Each function here runs a few times at most, so compiling is most of its cost.
QUICKLY_COMPILED = {"xla_backend_optimization_level": 0}


def new_network(config: ModelConfig, seed: int = 0) -> tuple[Any, Any]:
    """Structure and fresh parameters of a network."""
    graph = nnx.graphdef(nnx.eval_shape(lambda: PolicyNetwork(config, nnx.Rngs(0))))
    create = jax.jit(
        lambda key: nnx.state(PolicyNetwork(config, nnx.Rngs(key)), nnx.Param),
        compiler_options=QUICKLY_COMPILED,
    )
    return graph, create(jax.random.key(seed))


@pytest.fixture(autouse=True)
def strict_shapes() -> Iterator[None]:
    """Silent broadcasting between ranks is an error."""
    with jax.numpy_rank_promotion("raise"):
        yield


@pytest.fixture(scope="session")
def config() -> ModelConfig:
    """Every part of the network, the expert narrower than the backbone and grouped heads."""
    return ModelConfig(
        preset="test",
        image_size=16,
        cameras=("head", "wrist"),
        horizon=5,
        action_width=4,
        action_groups=(("base", 0, 2), ("arm", 2, 4)),
        stage_counts=(3, 0, 5),
        width=16,
        mlp_width=32,
        prefix_layers=2,
        expert_width=12,
        expert_mlp_width=24,
        expert_layers=2,
        heads=4,
        kv_heads=2,
        head_width=8,
        patch_size=8,
        stem_widths=(8, 12),
        vision_width=12,
        vision_mlp_width=24,
        vision_heads=2,
        vision_layers=2,
        camera_table=True,
        position_scale=0.5,
        gate_start=1.0,
        padded_action_width=6,
        embedding_rows=260,
        state_tokens="discretised",
        state_ranges=((-1.0, 1.0),) * 4,
        stage_input=True,
        kv_mixing=True,
        knowledge_insulation=False,
        suffix_positions="valid",
        correlated_noise=True,
        padded_action_loss=False,
        flow_samples=3,
        stage_loss_weight=0.1,
        fast_loss_weight=0.05,
        fast_vocabulary=7,
        fast_own_ids=True,
        compute_dtype="float32",
        vision_trainable=True,
        scan_layers=True,
        remat="none",
    )


@pytest.fixture(scope="session")
def network(config: ModelConfig) -> PolicyNetwork:
    """A network with every parameter random, the zero-initialised ones too."""
    graph, parameters = new_network(config)
    random = np.random.default_rng(1)
    parameters = jax.tree.map(
        lambda leaf: leaf + 0.1 * random.standard_normal(leaf.shape, np.float32), parameters
    )
    return nnx.merge(graph, parameters)


@pytest.fixture
def batch(config: ModelConfig) -> dict[str, Any]:
    """Four random samples in the loader's layout."""
    random = np.random.default_rng(2)
    size = 4
    pixels = (size, config.image_size, config.image_size, 3)
    chunk = (size, config.horizon, config.action_width)
    return {
        "images": {name: random.integers(0, 256, pixels, np.uint8) for name in config.cameras},
        "state": random.standard_normal((size, config.action_width), np.float32),
        "actions": random.standard_normal(chunk, np.float32),
        "action_mask": np.ones(chunk[:2], dtype=bool),
        "task": np.asarray([0, 2, 2, 0], np.int32),
        "stage": np.asarray([2, 0, 4, 1], np.int32),
        "fast_tokens": random.integers(0, config.fast_vocabulary, (size, 6)).astype(np.int32),
        "fast_token_mask": np.arange(6)[None] < np.asarray([6, 4, 1, 3])[:, None],
    }


@pytest.fixture(scope="session")
def cholesky(config: ModelConfig) -> np.ndarray:
    """Factor of a smooth covariance with unit variances over the flat index t*D + d."""
    flat = np.arange(config.horizon * config.action_width)
    time, dimension = np.divmod(flat, config.action_width)
    covariance = 0.8 ** np.abs(time[:, None] - time[None]) * np.where(
        dimension[:, None] == dimension[None], 1.0, 0.3
    )
    return np.linalg.cholesky(covariance).astype(np.float32)


@pytest.fixture(scope="session")
def encode(network: PolicyNetwork) -> Callable[..., Prefix]:
    """`network.encode`, compiled once for all tests."""
    return jax.jit(network.encode, static_argnames="training", compiler_options=QUICKLY_COMPILED)


@pytest.fixture(scope="session")
def velocity(network: PolicyNetwork) -> Callable[..., jax.Array]:
    """`network.velocity`, compiled once for all tests."""
    return jax.jit(network.velocity, compiler_options=QUICKLY_COMPILED)


@pytest.fixture(scope="session")
def loss_and_gradient(
    config: ModelConfig, network: PolicyNetwork, cholesky: np.ndarray
) -> Callable[..., Any]:
    """(parameters, batch, key) -> ((total, losses), gradient), compiled once for all tests."""
    graph = nnx.graphdef(network)

    def losses(
        parameters: Any, batch: dict[str, Any], key: jax.Array
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        merged = nnx.merge(graph, parameters)
        values = compute_losses(merged, batch, key, jnp.asarray(cholesky), config)
        return values["total"], values

    return jax.jit(jax.value_and_grad(losses, has_aux=True), compiler_options=QUICKLY_COMPILED)
