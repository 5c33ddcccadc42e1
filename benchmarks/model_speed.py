"""Training steps and sampled chunks timed on this machine's devices, two variants in one run."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from model_variants import our_config, plain_config, random_batch

from hearth.core.sections import RunSettings
from hearth.model.configuration import ModelConfig
from hearth.model.sampling import sample_actions
from hearth.policy.network import NetworkDefinition
from hearth.training import sharding
from hearth.training.cost import operations_of
from hearth.training.measures import step_operations
from hearth.training.state import initial_state
from hearth.training.step import jit_step

FLOW_STEPS = 20  # Euler steps of the winning run
CHUNK_BATCHES = (1, 8)


@dataclasses.dataclass
class Timing:
    """A timed function.

    Attributes:
        seconds: of each round.
        operations: of one call, as computed.
        needed: of one call, without what rematerialisation computes again (Chowdhery et al., 2022,
            appendix B): what model FLOP utilisation counts.
        bytes: that a call needs on a device, as XLA plans it.
        measured: the device's own peak up to then; None where it tells none (a CPU), or where
            what ran before in this process had a higher one, so that it is not this function's.
    """

    seconds: list[float]
    operations: int
    needed: int
    bytes: int
    measured: int | None

    @property
    def median(self) -> float:
        return float(np.median(self.seconds))


def report(preset: str, batch: int, devices: int, rounds: int, peak_tflops: float | None) -> None:
    """Time both variants and print them with their ratio; `peak_tflops` is one device's."""
    device = jax.devices()[0]
    print(f"{preset} on {devices} x {device.device_kind}, jax {jax.__version__}")
    variants = {"hearth": our_config(preset), "public choices": plain_config(preset)}
    peak = None if peak_tflops is None else peak_tflops * 1e12 * devices
    # One variant's state at a time: two of the largest preset would not fit together.
    steps = {name: time_training(model, batch, devices, rounds) for name, model in variants.items()}
    _print_training(steps, batch, peak)
    for size in CHUNK_BATCHES:
        chunks = {name: time_sampling(model, size, rounds) for name, model in variants.items()}
        _print_sampling(chunks, size)


def time_training(model: ModelConfig, batch: int, devices: int, rounds: int) -> Timing:
    """The whole step: augmentation, losses, gradients, AdamW, moving average."""
    definition, before = NetworkDefinition(model), _device_peak()
    settings = RunSettings(batch_size=batch, devices=devices)
    mesh = sharding.make_mesh(devices)
    step = jit_step(definition, settings, 0, mesh)
    factor = jax.device_put(_factor(model), sharding.whole(mesh))
    data = sharding.split_batch(random_batch(model, batch), mesh)
    state = [initial_state(definition, settings, 0, mesh)]
    traced = step.trace(state[0], data, factor)
    compiled = traced.lower().compile()

    def call(_: int) -> Any:
        state[0], metrics = compiled(state[0], data, factor)
        return state[0].step, metrics

    needed = step_operations(definition, settings, data, mesh)
    seconds = _rounds(call, rounds)
    count, planned = operations_of(traced.jaxpr), _planned_bytes(compiled)
    return Timing(seconds, count, needed, planned, _risen(before))


def time_sampling(model: ModelConfig, batch: int, rounds: int) -> Timing:
    """Chunks for `batch` observations at once, from parameters as a bundle holds them."""
    definition, before = NetworkDefinition(model), _device_peak()
    parameters = definition.initialise(0)
    observation = random_batch(model, batch)
    observation = {name: observation[name] for name in ("images", "state", "task", "stage")}

    def sample(parameters: Any, observation: Any, factor: jax.Array, index: Any) -> jax.Array:
        network = definition.build(parameters)
        keys = jax.random.split(jax.random.key(index), batch)
        return sample_actions(network, observation, keys, factor, FLOW_STEPS)[0]

    factor = _factor(model)
    traced = jax.jit(sample).trace(parameters, observation, factor, np.int32(0))
    compiled = traced.lower().compile()

    def call(index: int) -> jax.Array:
        return compiled(parameters, observation, factor, np.int32(index))

    count = operations_of(traced.jaxpr)  # without a gradient nothing is computed again
    seconds = _rounds(call, rounds)
    return Timing(seconds, count, count, _planned_bytes(compiled), _risen(before))


def _rounds(call: Callable[[int], Any], rounds: int) -> list[float]:
    """Seconds of each call until its result is there; the first, which compiles, is not timed."""
    jax.block_until_ready(call(0))
    seconds = []
    for index in range(1, rounds + 1):
        began = time.perf_counter()
        jax.block_until_ready(call(index))
        seconds.append(time.perf_counter() - began)
    return seconds


def _factor(model: ModelConfig) -> jax.Array:
    return jnp.eye(model.horizon * model.action_width)


def _planned_bytes(compiled: Any) -> int:
    """XLA's plan for one device; what an argument gives away to a result counts once."""
    plan = compiled.memory_analysis()
    own = plan.argument_size_in_bytes + plan.output_size_in_bytes - plan.alias_size_in_bytes
    return own + plan.temp_size_in_bytes


def _device_peak() -> int | None:
    """Bytes at the peak since the process began; it cannot be set back. None on a CPU."""
    return (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use")


def _risen(before: int | None) -> int | None:
    """The peak now, if it is higher than `before`."""
    now = _device_peak()
    return None if now is None or before is None or now <= before else now


def _print_training(timings: dict[str, Timing], batch: int, peak: float | None) -> None:
    print(f"\ntraining step, batch {batch}: median of {len(timings['hearth'].seconds)}")
    for name, timing in timings.items():
        needed, computed = timing.needed / timing.median, timing.operations / timing.median
        used = "" if peak is None else f" ({needed / peak:.1%} and {computed / peak:.1%} of peak)"
        print(
            f"{name:16}{1e3 * timing.median:10.1f} ms{batch / timing.median:10.2f} samples/s"
            f"{needed / 1e12:10.3f} TFLOP/s, {computed / 1e12:.3f} with recomputation{used}"
            f"{_memory(timing)}"
        )
    print(f"{'ratio':16}{_ratio(timings):10.2f} x the samples a second of the public choices")


def _print_sampling(timings: dict[str, Timing], batch: int) -> None:
    print(f"\n{batch} chunk(s) at once, {FLOW_STEPS} Euler steps")
    for name, timing in timings.items():
        print(
            f"{name:16}{1e3 * timing.median:10.1f} ms"
            f"{timing.operations / timing.median / 1e12:10.3f} TFLOP/s{_memory(timing)}"
        )
    print(f"{'ratio':16}{_ratio(timings):10.2f} x as fast as the public choices")


def _ratio(timings: dict[str, Timing]) -> float:
    return timings["public choices"].median / timings["hearth"].median


def _memory(timing: Timing) -> str:
    text = f"{timing.bytes / 1e9:10.2f} GB a device planned"
    return text if timing.measured is None else f"{text}, {timing.measured / 1e9:.2f} GB measured"
