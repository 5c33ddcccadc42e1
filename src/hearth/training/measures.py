"""How fast a run trains and what of its devices it uses; for TensorBoard alone.

These numbers differ from one undisturbed run to the next, so they stand apart from the losses.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from hearth.core.sections import RunSettings
from hearth.policy.network import NetworkDefinition
from hearth.training.cost import operations
from hearth.training.state import state_shapes
from hearth.training.step import pure_step

_GIGABYTE = 1e9


class Speedometer:
    """Samples per second between two lines of the log, and the share of the peak that they take."""

    def __init__(
        self, batch_size: int, step_operations: int | None = None, peak: float | None = None
    ) -> None:
        """
        Args:
            batch_size: samples of a step over all devices.
            step_operations: of one step over all devices; None: unknown.
            peak: operations a second of all devices together; None: unknown.
        """
        self._batch_size, self._operations, self._peak = batch_size, step_operations, peak
        self._since: float | None = None
        self._steps = 0

    def count(self) -> None:
        """One more step; time begins at the end of the first one, which compiles."""
        if self._since is None:
            self._since = time.monotonic()
        else:
            self._steps += 1

    def read(self) -> dict[str, float]:
        """`samples_per_second` and `utilisation` since the last reading; nothing after one step."""
        now = time.monotonic()
        if self._since is None or not self._steps or now <= self._since:
            return {}
        rate = self._steps / (now - self._since)
        self._since, self._steps = now, 0
        values = {"samples_per_second": rate * self._batch_size}
        if self._operations is not None and self._peak is not None:
            values["utilisation"] = rate * self._operations / self._peak
        return values


def device_memory() -> dict[str, float]:
    """Gigabytes in use and at the peak on this process's fullest device; nothing on a CPU."""
    found = [device.memory_stats() or {} for device in jax.local_devices()]
    names = {"device_memory_gigabytes": "bytes_in_use",
             "device_memory_peak_gigabytes": "peak_bytes_in_use"}  # fmt: skip
    return {
        name: max(stats[key] for stats in found) / _GIGABYTE
        for name, key in names.items()
        if found and all(key in stats for stats in found)
    }


def step_operations(
    definition: NetworkDefinition, settings: RunSettings, batch: Mapping[str, Any], mesh: Mesh
) -> int:
    """Floating-point operations of one step over all devices, as the model needs them.

    What rematerialisation computes again is not counted (Chowdhery et al., 2022, appendix B).

    Args:
        definition: the network.
        settings: of the run.
        batch: one process's part of a batch.
        mesh: the devices of the run.
    """
    plain = NetworkDefinition(dataclasses.replace(definition.config, remat="none"))
    shapes = {
        name: jax.tree.map(lambda array: _whole(array, settings.batch_size), value)
        for name, value in batch.items()
    }
    width = definition.config.horizon * definition.config.action_width
    factor = jax.ShapeDtypeStruct((width, width), jnp.float32)
    step = pure_step(plain, settings, 0, mesh)
    return operations(step, state_shapes(plain, settings), shapes, factor)


def _whole(array: Any, batch_size: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((batch_size, *array.shape[1:]), array.dtype)
