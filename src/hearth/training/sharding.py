"""Every sharding choice, on this page.

Fully sharded data parallelism over one mesh axis that holds all devices:

- A large array of the training state (parameters, optimizer moments, moving average, frozen
  parameters) is split along its largest axis that the number of devices divides. The choice
  depends on its shape alone, so a parameter, its gradient, its moments and its average lie alike.
- A small array, or one that no axis of which divides, is kept whole on every device.
- A batch is split along its leading axis: a device computes its own samples. It gathers each
  layer's weights when it needs them, and again in the backward pass; what it finds for their
  gradient is summed over the devices into the parts that each of them holds.

Checkpoints hold whole arrays; they are read onto any number of devices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from hearth.core.errors import TrainingError
from hearth.model.gathering import Gather

AXIS = "devices"
# Numbers in an array. Below it the start of a gather (some 20 microseconds) takes longer than
# moving the bytes, and all that the smaller arrays of the largest preset need is 20 MB a device.
SMALLEST_SHARDED = 2**16


def make_mesh(devices: int) -> Mesh:
    """A mesh of one axis over `devices` devices; with several processes, over all of them.

    Raises:
        TrainingError: there are fewer, or several processes would leave some out.
    """
    available = jax.devices()
    if devices > len(available):
        raise TrainingError(
            f"devices = {devices}, but this machine has {len(available)} "
            f"({available[0].platform}); valid: 1..{len(available)}"
        )
    if jax.process_count() > 1 and devices != len(available):
        raise TrainingError(
            f"devices = {devices}, but the {jax.process_count()} processes of this run have "
            f"{len(available)}; valid: {len(available)}"
        )
    return jax.make_mesh(
        (devices,), (AXIS,), devices=available[:devices],
        axis_types=(jax.sharding.AxisType.Auto,),
    )  # fmt: skip


def array_sharding(shape: Sequence[int], mesh: Mesh) -> NamedSharding:
    """Where an array of this shape lies.

    Returns:
        Split along the largest axis that divides (the first of equal ones), or whole everywhere.
    """
    size = 1
    for length in shape:
        size *= length
    axes = [axis for axis, length in enumerate(shape) if length % mesh.size == 0]
    if mesh.size == 1 or size < SMALLEST_SHARDED or not axes:
        return whole(mesh)
    chosen = max(axes, key=lambda axis: shape[axis])
    return NamedSharding(mesh, PartitionSpec(*[None] * chosen, AXIS))


def shardings(tree: Any, mesh: Mesh) -> Any:
    """`array_sharding` of every array (or shape) in a tree."""
    return jax.tree.map(lambda leaf: array_sharding(leaf.shape, mesh), tree)


def whole(mesh: Mesh) -> NamedSharding:
    """A copy on every device."""
    return NamedSharding(mesh, PartitionSpec())


def by_sample(mesh: Mesh) -> NamedSharding:
    """Split along the leading axis."""
    return NamedSharding(mesh, PartitionSpec(AXIS))


def place(tree: Any, mesh: Mesh) -> Any:
    """Put every array where `array_sharding` says."""
    return jax.device_put(tree, shardings(tree, mesh))


def constrain(tree: Any, mesh: Mesh) -> Any:
    """The same inside a compiled function."""
    return jax.lax.with_sharding_constraint(tree, shardings(tree, mesh))


def gather(mesh: Mesh) -> Gather | None:
    """How a layer's weight becomes whole, and its gradient parts again; None on one device.

    Without it the partitioner is free to split activations along the weights' axes, and moves
    them to and fro between layers.
    """
    if mesh.size == 1:
        return None

    @jax.custom_vjp
    def bring(weight: jax.Array) -> jax.Array:
        return jax.lax.with_sharding_constraint(weight, whole(mesh))

    def forward(weight: jax.Array) -> tuple[jax.Array, None]:
        return bring(weight), None

    def backward(_: None, gradient: jax.Array) -> tuple[jax.Array]:
        return (constrain(gradient, mesh),)

    bring.defvjp(forward, backward)
    return bring


def split_batch(batch: Any, mesh: Mesh) -> Any:
    """Put a batch on the devices. With several processes each brings its own slice of it."""
    if jax.process_count() == 1:
        return jax.device_put(batch, by_sample(mesh))
    return jax.tree.map(
        lambda array: jax.make_array_from_process_local_data(by_sample(mesh), array), batch
    )
