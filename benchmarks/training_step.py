"""Milliseconds of a training step, and its ratio against the same step with the prefix recomputed
for every flow sample (one prefix pass per sample instead of one for all; report, 6.2).

    python benchmarks/training_step.py [--batch 32] [--samples 2] [--rounds 20]

Both are timed in turns within one run, so a machine that others use slows both alike. CPU time
(of all threads) says what a step costs where wall time mostly says who else is computing.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from model_variants import random_batch

from hearth.benchmark.benchmark import load_benchmark
from hearth.core.sections import ModelSettings
from hearth.model.losses import compute_losses
from hearth.model.policy_network import PolicyNetwork
from hearth.model.presets import ModelConfig, config

State = tuple[Any, Any]


def training_step(model: ModelConfig) -> tuple[Callable[..., State], State]:
    """A jitted step (forward, backward, AdamW) and its initial state."""
    graph, parameters = nnx.split(PolicyNetwork(model, nnx.Rngs(0)))
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(2e-3))
    cholesky = jnp.eye(model.horizon * model.action_width)

    def step(state: State, batch: dict[str, Any], key: jax.Array) -> State:
        def loss(parameters: Any) -> jax.Array:
            network = nnx.merge(graph, parameters)
            return compute_losses(network, batch, key, cholesky, model)["total"]

        updates, moments = optimizer.update(jax.grad(loss)(state[0]), state[1], state[0])
        return optax.apply_updates(state[0], updates), moments

    return jax.jit(step, donate_argnums=0), (parameters, optimizer.init(parameters))


def compare(batch_size: int, samples: int, rounds: int) -> dict[str, np.ndarray]:
    """Wall and CPU milliseconds per step of both variants, [rounds, 2], taken in turns."""
    benchmark = load_benchmark("household")
    shared = config(ModelSettings(preset="tiny", flow_samples=samples), benchmark, image_size=64)
    batch = random_batch(shared, batch_size)
    repeated = jax.tree.map(lambda leaf: np.repeat(leaf, samples, axis=0), batch)
    single = dataclasses.replace(shared, flow_samples=1)
    variants = {"prefix shared": (shared, batch), "prefix per sample": (single, repeated)}
    runs = {name: [*training_step(model), data] for name, (model, data) in variants.items()}
    milliseconds: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for index in range(rounds + 1):
        for name, run in runs.items():
            step, state, data = run
            wall, processor = time.perf_counter(), time.process_time()
            run[1] = jax.block_until_ready(step(state, data, jax.random.key(index)))
            if index:  # the first call compiles
                spent = time.perf_counter() - wall, time.process_time() - processor
                milliseconds[name].append((1e3 * spent[0], 1e3 * spent[1]))
    return {name: np.asarray(values) for name, values in milliseconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--samples", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=20)
    arguments = parser.parse_args()
    timings = compare(arguments.batch, arguments.samples, arguments.rounds)
    for name, values in timings.items():
        wall, processor = np.median(values, axis=0)
        best = values.min(axis=0)
        print(
            f"{name:18} wall median {wall:6.1f} best {best[0]:6.1f} ms, "
            f"CPU median {processor:6.1f} best {best[1]:6.1f} ms"
        )
    ratios = np.median(timings["prefix per sample"] / timings["prefix shared"], axis=0)
    print(f"prefix per sample / prefix shared: wall {ratios[0]:.2f}, CPU {ratios[1]:.2f}")


if __name__ == "__main__":
    main()
