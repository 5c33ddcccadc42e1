"""One compiled training step: augmentation, losses, AdamW and the moving average."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from hearth.core.sections import RunSettings
from hearth.model.losses import compute_losses
from hearth.policy.network import NetworkDefinition, Parameters
from hearth.training.augmentation import augment, check_cameras
from hearth.training.state import TrainState, learning_rate, make_optimizer

Metrics = dict[str, jax.Array]
Step = Callable[[TrainState, Mapping[str, Any]], tuple[TrainState, Metrics]]


def make_step(
    definition: NetworkDefinition, settings: RunSettings, cholesky: jax.Array, seed: int
) -> Step:
    """The compiled function (state, batch) -> (next state, metrics).

    The randomness of a step is a function of `seed` and the step's number alone. The input
    state's memory is reused and must not be read again.

    Args:
        definition: the network.
        settings: of the run.
        cholesky: float32[H*D, H*D], factor of the flow noise's covariance.
        seed: of augmentation, flow times and flow noise.

    Raises:
        SettingsError: the augmentation names a camera that the robot does not have.
    """
    check_cameras(settings, definition.config.cameras)
    optimizer, schedule = make_optimizer(settings), learning_rate(settings)
    base_key = jax.random.key(seed)

    def losses(
        parameters: Parameters, batch: Mapping[str, Any], key: jax.Array, factor: jax.Array
    ) -> tuple[jax.Array, Metrics]:
        network = definition.build(parameters)
        values = compute_losses(network, batch, key, factor, definition.config)
        return values["total"], values

    def step(
        state: TrainState, batch: Mapping[str, Any], factor: jax.Array
    ) -> tuple[TrainState, Metrics]:
        augment_key, loss_key = jax.random.split(jax.random.fold_in(base_key, state.step))
        batch = augment(batch, augment_key, settings)
        gradients, metrics = jax.grad(losses, has_aux=True)(
            state.parameters, batch, loss_key, factor
        )
        updates, optimizer_state = optimizer.update(gradients, state.optimizer, state.parameters)
        parameters = optax.apply_updates(state.parameters, updates)
        decay = average_decay(settings.ema_decay, state.step)
        average = jax.tree.map(
            lambda old, new: decay * old + (1.0 - decay) * new, state.average, parameters
        )
        metrics = {
            **metrics,
            "gradient_norm": optax.global_norm(gradients),
            "learning_rate": jnp.asarray(schedule(state.step)),
        }
        return TrainState(state.step + 1, parameters, average, optimizer_state), metrics  # type: ignore[arg-type]

    compiled = jax.jit(step, donate_argnums=0)
    return lambda state, batch: compiled(state, batch, cholesky)


def average_decay(decay: float, step: jax.Array) -> jax.Array:
    """The decay of the moving average at a step.

    Smaller at first, (1 + step) / (10 + step), so that short runs are not held back by the
    random initial weights; beyond some 9 / (1 - decay) steps it is `decay` itself.
    """
    return jnp.minimum(decay, (1.0 + step) / (10.0 + step))
