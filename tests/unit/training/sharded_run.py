"""A run of a tiny network on 8, 2 and 1 virtual devices; prints what it found as JSON.

Run by test_sharding.py in a process of its own: the number of devices is fixed when jax starts.
Where the environment names two tasks of a Slurm step, the processes meet, with four devices each,
and print the losses of the run on eight.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

os.environ["XLA_FLAGS"] = (
    f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count="
    f"{8 // int(os.environ.get('SLURM_STEP_NUM_TASKS', '1'))}"
)
os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import numpy as np

from hearth.benchmark import load_benchmark
from hearth.core.sections import RunSettings
from hearth.model import presets
from hearth.policy.network import NetworkDefinition
from hearth.training import processes, sharding
from hearth.training.checkpoint import Checkpoints
from hearth.training.state import TrainState, initial_state
from hearth.training.step import jit_step

from .conftest import HORIZON, IMAGE_SIZE, make_batch, make_settings

BATCH, STEPS = 16, 3
FACTOR = np.eye(HORIZON * 23, dtype=np.float32)
sharding.SMALLEST_SHARDED = 1024  # so that the tiny network's arrays are large enough


def definition() -> NetworkDefinition:
    """Stacked layers in a loop that recomputes, and a frozen encoder, as in the largest preset."""
    settings = make_settings(Path("unused"))
    config = presets.config(settings.model, load_benchmark("household"), IMAGE_SIZE, HORIZON)
    return NetworkDefinition(
        dataclasses.replace(config, scan_layers=True, remat="dots", vision_trainable=False)
    )


class Run(NamedTuple):
    """The state after three steps, the loss of each, and XLA's operations for one device."""

    state: TrainState
    losses: list[float]
    operations: float


def train(network: NetworkDefinition, devices: int, parts: int) -> Run:
    mesh, run = sharding.make_mesh(devices), run_settings(devices, parts)
    state = initial_state(network, run, 0, mesh)
    factor = jax.device_put(FACTOR, sharding.whole(mesh))
    share = BATCH // jax.process_count()
    mine = slice(jax.process_index() * share, (jax.process_index() + 1) * share)

    def placed(number: int) -> Any:
        batch = jax.tree.map(lambda array: array[mine], make_batch(number, BATCH))
        return sharding.split_batch(batch, mesh)

    step = jit_step(network, run, 0, mesh).lower(state, placed(0), factor).compile()
    losses = []
    for number in range(STEPS):
        state, metrics = step(state, placed(number), factor)
        losses.append(float(metrics["total"]))
    return Run(state, losses, step.cost_analysis()["flops"])


def run_settings(devices: int, parts: int = 1) -> RunSettings:
    return RunSettings(
        steps=10, warmup_steps=2, batch_size=BATCH, devices=devices, accumulation_steps=parts
    )


def bytes_on_first_device(tree: Any) -> int:
    first = jax.devices()[0]
    return sum(
        shard.data.nbytes
        for leaf in jax.tree.leaves(tree)
        for shard in leaf.addressable_shards
        if shard.device == first
    )


def restored_alike(network: NetworkDefinition, state: TrainState, folder: Path) -> dict[str, bool]:
    """Whether a checkpoint of eight devices is the same on others, and lies as it should there."""
    found = {}
    with Checkpoints(folder) as checkpoints:
        checkpoints.save(state, 1.0)
        checkpoints.wait()
        for devices in (1, 2):
            mesh = sharding.make_mesh(devices)
            template = initial_state(network, run_settings(devices), 1, mesh)
            restored = checkpoints.restore_newest(template)
            assert restored is not None
            pairs = zip(jax.tree.leaves(restored[0]), jax.tree.leaves(state), strict=True)
            found[str(devices)] = all(
                np.array_equal(new, old)
                and new.sharding.is_equivalent_to(
                    sharding.array_sharding(new.shape, mesh), new.ndim
                )
                for new, old in pairs
            )
    return found


def main(folder: Path) -> None:
    processes.join(folder, 120.0)
    network = definition()
    if jax.process_count() > 1:
        print(
            json.dumps({"losses": train(network, 8, 2).losses, "devices": jax.local_device_count()})
        )
        return
    sharded, alone = train(network, 8, 2), train(network, 1, 2)
    averages = (jax.tree.leaves(run.state.average) for run in (sharded, alone))
    found = {
        "losses": [sharded.losses, alone.losses],
        "difference": max(
            float(np.abs(np.asarray(new) - np.asarray(old)).max())
            for new, old in zip(*averages, strict=True)
        ),
        "losses_in_one_part": train(network, 8, 1).losses,
        "bytes": [bytes_on_first_device(run.state) for run in (sharded, alone)],
        "operations": [sharded.operations, alone.operations],
        "restored": restored_alike(network, sharded.state, folder),
        "frozen": sorted(sharded.state.frozen),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
