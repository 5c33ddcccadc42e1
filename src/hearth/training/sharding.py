"""Every sharding choice: the batch is split over all devices, everything else is replicated."""

from __future__ import annotations

from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from hearth.core.errors import TrainingError

_AXIS = "batch"


def make_mesh(devices: int) -> Mesh:
    """A mesh of one axis over the first `devices` devices.

    Raises:
        TrainingError: the machine has fewer.
    """
    available = jax.devices()
    if devices > len(available):
        raise TrainingError(
            f"devices = {devices}, but this machine has {len(available)} "
            f"({available[0].platform}); valid: 1..{len(available)}"
        )
    return jax.make_mesh(
        (devices,), (_AXIS,), devices=available[:devices],
        axis_types=(jax.sharding.AxisType.Auto,),
    )  # fmt: skip


def replicate(tree: Any, mesh: Mesh) -> Any:
    """Put a copy of every array on every device."""
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


def split_batch(batch: Any, mesh: Mesh) -> Any:
    """Split arrays over their leading axis."""
    return jax.device_put(batch, NamedSharding(mesh, PartitionSpec(_AXIS)))
