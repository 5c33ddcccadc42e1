"""Losses on held-out episodes: the averaged weights, no augmentation, always the same draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
from jax.sharding import Mesh

from hearth.core.errors import TrainingError
from hearth.core.sections import RunSettings
from hearth.model.gathering import gathering
from hearth.model.losses import compute_losses
from hearth.policy.network import NetworkDefinition, Parameters
from hearth.training import sharding
from hearth.training.job import BatchAt, Job
from hearth.training.state import TrainState, state_shapes

PREFIX = "validation/"


@dataclass
class Validation:
    """The first batches of the held-out episodes, and the compiled losses of one.

    Attributes:
        job: the run; it must have held-out episodes.
        definition: the network.
        cholesky: float32[H*D, H*D], factor of the flow noise's covariance.
        mesh: the devices of the run.
        place: puts a batch on them.
    """

    job: Job
    definition: NetworkDefinition
    cholesky: jax.Array
    mesh: Mesh
    place: Callable[[Any], Any]
    _batch_at: BatchAt | None = field(default=None, init=False)
    _losses: Any = field(default=None, init=False)

    def losses(self, state: TrainState) -> dict[str, float]:
        """Means over the batches of every term of the loss, by ``validation/<term>``.

        Raises:
            TrainingError: the run was given no held-out episodes.
            DataError: there are none, or they are damaged.
        """
        if self.job.held_out is None:
            raise TrainingError(f"run '{self.job.name}' has no held-out episodes to look at")
        if self._batch_at is None:
            self._batch_at = self.job.held_out()
            self.cholesky = jax.device_put(self.cholesky, sharding.whole(self.mesh))
            self._losses = jit_losses(self.definition, self.job.run, self.mesh)
        key, count = jax.random.key(self.job.seed("validation")), self.job.run.validation_batches
        sums: dict[str, float] = {}
        for number in range(count):
            batch = self.place(self._batch_at(number))
            found = jax.device_get(
                self._losses(
                    state.average, state.frozen, batch, jax.random.fold_in(key, number),
                    self.cholesky,
                )
            )  # fmt: skip
            for name, value in found.items():
                sums[name] = sums.get(name, 0.0) + float(value)
        return {PREFIX + name: total / count for name, total in sums.items()}


def jit_losses(definition: NetworkDefinition, settings: RunSettings, mesh: Mesh) -> Any:
    """The compiled function (average, frozen, batch, key, cholesky) -> losses, scalars."""
    gather, state = sharding.gather(mesh), state_shapes(definition, settings)
    lies, whole = sharding.shardings(state, mesh), sharding.whole(mesh)

    def losses(
        average: Parameters, frozen: Parameters, batch: Any, key: jax.Array, factor: jax.Array
    ) -> dict[str, jax.Array]:
        network = definition.build({**frozen, **average})
        with gathering(gather):
            return compute_losses(network, batch, key, factor, definition.config)

    return jax.jit(
        losses,
        in_shardings=(lies.average, lies.frozen, sharding.by_sample(mesh), whole, whole),
        out_shardings=whole,
    )
