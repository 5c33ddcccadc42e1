"""What the full-size network costs, from shapes alone: nothing is allocated."""

from __future__ import annotations

import dataclasses
import math
import resource
import time
from typing import Any

import jax
from model_variants import (
    batch_shapes,
    factor_shape,
    observation_shapes,
    our_config,
    plain_config,
)

from hearth.core.sections import RunSettings, ServingSettings
from hearth.model.configuration import ModelConfig
from hearth.model.losses import compute_losses
from hearth.model.sampling import sample_actions
from hearth.policy.network import NetworkDefinition
from hearth.training import sharding
from hearth.training.cost import kept_bytes, operations, operations_of, tree_bytes
from hearth.training.state import state_shapes
from hearth.training.step import jit_step

DEVICES = 8
FLOW_STEPS = 20  # of the winning run at inference
SERVING_LIMIT = 24.0  # GB, for one process that serves the largest preset
TERA, GIGA, MEGA = 1e12, 1e9, 1e6
# First parts of parameter names, in the groups that published counts use.
PARTS = {"SigLIP": "vision", "embedder": "state_table", "backbone": "backbone", "expert": "expert"}
# Counted on the public implementation by the same rules: TFLOP a training sample.
PUBLISHED = {
    ("trained", "full"): 19.107, ("trained", "none"): 15.399,
    ("frozen", "full"): 17.337, ("frozen", "none"): 14.079,
}  # fmt: skip


def report(preset: str, *, compile_step: bool) -> None:
    """Print everything about `preset` and, beside it, the public implementation's choices."""
    ours, plain = our_config(preset), plain_config(preset)
    _print_parameters({"public choices": plain, "hearth": ours})
    _print_operations(ours, plain)
    _print_sampling({"public choices": plain, "hearth": ours})
    _print_memory(ours)
    _print_serving({"public choices": plain, "hearth": ours}, compile_step)
    _print_lowering(ours, compile_step)


def _print_parameters(models: dict[str, ModelConfig]) -> None:
    print(f"{'parameters':24}" + "".join(f"{name:>18}" for name in (*PARTS, "rest", "total")))
    for label, model in models.items():
        counts = dict.fromkeys((*PARTS, "rest"), 0)
        for name, leaf in NetworkDefinition(model).shapes.items():
            first = name.split("/")[0]
            part = next((part for part, prefix in PARTS.items() if prefix == first), "rest")
            counts[part] += math.prod(leaf.shape)
        counts["total"] = sum(counts.values())
        print(f"{label:24}" + "".join(f"{count:18,}" for count in counts.values()))


def _print_operations(ours: ModelConfig, plain: ModelConfig) -> None:
    print("\nTFLOP a training sample, forward and backward (matrix products and convolutions)")
    print(f"{'':44}{'here':>9}{'published':>11}{'kept a sample':>15}")
    frozen = dataclasses.replace(plain, vision_trainable=False)
    for vision, model in (("trained", plain), ("frozen", frozen)):
        for remat in ("full", "none"):
            chosen = dataclasses.replace(model, remat=remat)
            label = f"public choices, vision {vision}, remat {remat}"
            _print_training_row(label, chosen, PUBLISHED.get((vision, remat)))
    for remat in dict.fromkeys((ours.remat, "none", "full", "dots", "attention", "gate")):
        mark = " (default)" if remat == ours.remat else ""
        _print_training_row(f"hearth, remat {remat}{mark}", dataclasses.replace(ours, remat=remat))
    print(f"{'forward pass, public choices':44}{_forward(plain):9.3f}{5.133:11.3f}")
    print(f"{'forward pass, hearth':44}{_forward(ours):9.3f}")


def _print_training_row(label: str, model: ModelConfig, published: float | None = None) -> None:
    function, arguments = _loss(model)
    count = operations(jax.value_and_grad(function), *arguments(1)) / TERA
    # What one sample more keeps; what is kept once, such as weights in bfloat16, drops out.
    kept = kept_bytes(function, *arguments(2)) - kept_bytes(function, *arguments(1))
    text = "" if published is None else f"{published:.3f}"
    print(f"{label:44}{count:9.3f}{text:>11}{kept / MEGA:12.0f} MB", flush=True)


def _forward(model: ModelConfig) -> float:
    function, arguments = _loss(model)
    return operations(function, *arguments(1)) / TERA


def _loss(model: ModelConfig) -> tuple[Any, Any]:
    """The loss as a function of the trained weights, and its arguments' shapes for a batch."""
    definition = NetworkDefinition(model)
    state = state_shapes(definition, RunSettings())

    def loss(trained: Any, frozen: Any, batch: Any, factor: jax.Array) -> jax.Array:
        network = definition.build({**frozen, **trained})
        return compute_losses(network, batch, jax.random.key(0), factor, model)["total"]

    def arguments(size: int) -> tuple[Any, ...]:
        return state.parameters, state.frozen, batch_shapes(model, size), factor_shape(model)

    return loss, arguments


def _print_sampling(models: dict[str, ModelConfig]) -> None:
    print("\nTFLOP a chunk at inference (published: 4.17 in 10 Euler steps, 4.40 in 20)")
    for label, model in models.items():
        counts = [_sampling(model, steps) for steps in (10, 20)]
        print(f"{label:24}{counts[0]:9.3f} in 10 steps{counts[1]:9.3f} in 20 steps", flush=True)


def _sampling(model: ModelConfig, flow_steps: int) -> float:
    function, shapes = _sampler(model, flow_steps, 1)
    return operations(function, *shapes) / TERA


def _sampler(model: ModelConfig, flow_steps: int, batch: int) -> tuple[Any, tuple[Any, ...]]:
    """Sampling of a chunk for each of `batch` observations, and its arguments' shapes."""
    definition = NetworkDefinition(model)

    def sample(parameters: Any, observation: Any, factor: jax.Array) -> Any:
        network, keys = definition.build(parameters), jax.random.split(jax.random.key(0), batch)
        return sample_actions(network, observation, keys, factor, flow_steps)

    return sample, (definition.shapes, observation_shapes(model, batch), factor_shape(model))


def _print_serving(models: dict[str, ModelConfig], compile_sampling: bool) -> None:
    """A policy server: the weights it holds and, if asked for, what its predictions need."""
    several = ServingSettings().batch_sizes
    sizes = dict.fromkeys((several[0], several[-1]))
    print(f"\nGB of a serving process, {FLOW_STEPS} Euler steps (limit {SERVING_LIMIT:.0f})")
    for label, model in models.items():
        weights = tree_bytes(NetworkDefinition(model).shapes) / GIGA
        print(f"{label:24}{weights:9.3f} weights", flush=True)
        for size in sizes if compile_sampling else ():
            function, shapes = _sampler(model, FLOW_STEPS, size)
            began = time.perf_counter()
            memory: Any = jax.jit(function).lower(*shapes).compile().memory_analysis()
            seconds = time.perf_counter() - began
            temporary = memory.temp_size_in_bytes / GIGA
            whole = (memory.argument_size_in_bytes + memory.output_size_in_bytes) / GIGA + temporary
            print(f"{f'  {size} at once':24}{whole:9.3f} by XLA's plan for a CPU, "
                  f"{temporary:.3f} of it temporary; compiled in {seconds:.1f} s"
                  + " OVER THE LIMIT" * (whole > SERVING_LIMIT), flush=True)  # fmt: skip


def _print_memory(model: ModelConfig) -> None:
    mesh = sharding.make_mesh(DEVICES)
    state = state_shapes(NetworkDefinition(model), RunSettings())
    parts = {
        "parameters": state.parameters, "frozen parameters": state.frozen,
        "gradients": state.parameters, "optimizer": state.optimizer, "average": state.average,
    }  # fmt: skip
    print(f"\nGB over {DEVICES} devices{'all':>16}{'a device':>12}")
    totals = [0.0, 0.0]
    for name, tree in parts.items():
        sizes = tree_bytes(tree) / GIGA, _bytes_of_one_device(tree, mesh) / GIGA
        totals = [total + size for total, size in zip(totals, sizes, strict=True)]
        print(f"{name:20}{sizes[0]:16.3f}{sizes[1]:12.3f}")
    print(f"{'total':20}{totals[0]:16.3f}{totals[1]:12.3f}", flush=True)


def _peak() -> int:
    """The most memory that this process has held, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _bytes_of_one_device(tree: Any, mesh: Any) -> int:
    placed = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(
            sharding.array_sharding(leaf.shape, mesh).shard_shape(leaf.shape), leaf.dtype
        ),
        tree,
    )
    return tree_bytes(placed)


def _print_lowering(model: ModelConfig, compile_step: bool) -> None:
    """Trace, lower and, if asked for, compile the sharded step, one sample a device."""
    began = time.perf_counter()
    definition, settings = NetworkDefinition(model), RunSettings(devices=DEVICES)
    step = jit_step(definition, settings, 0, sharding.make_mesh(DEVICES))
    state, batch = state_shapes(definition, settings), batch_shapes(model, DEVICES)
    traced = step.trace(state, batch, factor_shape(model))
    lowered = traced.lower()
    seconds = time.perf_counter() - began
    whole = operations_of(traced.jaxpr) / DEVICES / TERA
    print(f"\nthe whole step on {DEVICES} virtual CPU devices: {whole:.3f} TFLOP a sample")
    print(f"traced and lowered in {seconds:.1f} s")
    if not compile_step:
        print("not compiled (--no-compile)")
        return
    began, busy = time.perf_counter(), time.process_time()
    memory = lowered.compile().memory_analysis()
    print(
        f"compiled in {time.perf_counter() - began:.1f} s, {time.process_time() - busy:.1f} s of "
        f"processor time; this process took {_peak() / GIGA:.1f} GB at most"
    )
    print(
        f"a device by XLA's plan: arguments {memory.argument_size_in_bytes / GIGA:.2f} GB, "
        f"temporary {memory.temp_size_in_bytes / GIGA:.2f} GB"
    )
