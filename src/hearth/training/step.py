"""One compiled training step: augmentation, losses, AdamW and the moving average."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from hearth.core.sections import RunSettings
from hearth.core.selection import check_cameras
from hearth.model.gathering import gathering
from hearth.model.losses import compute_losses
from hearth.policy.network import NetworkDefinition, Parameters
from hearth.training import sharding
from hearth.training.augmentation import augment
from hearth.training.state import TrainState, learning_rate, make_optimizer, state_shapes

Batch = Mapping[str, Any]
Metrics = dict[str, jax.Array]
Step = Callable[[TrainState, Batch], tuple[TrainState, Metrics]]
PureStep = Callable[[TrainState, Batch, jax.Array], tuple[TrainState, Metrics]]


def make_step(
    definition: NetworkDefinition,
    settings: RunSettings,
    cholesky: jax.Array,
    seed: int,
    mesh: Mesh,
) -> Step:
    """The compiled function (state, batch) -> (next state, metrics).

    The randomness of a step is a function of `seed` and the step's number alone. The input
    state's memory is reused and must not be read again.

    Args:
        definition: the network.
        settings: of the run.
        cholesky: float32[H*D, H*D], factor of the flow noise's covariance.
        seed: of augmentation, flow times and flow noise.
        mesh: the devices that share the state and the batch.

    Raises:
        SettingsError: the augmentation names a camera that the robot does not have.
    """
    check_cameras(settings, definition.config.cameras)
    compiled = jit_step(definition, settings, seed, mesh)
    factor = jax.device_put(cholesky, sharding.whole(mesh))
    return lambda state, batch: compiled(state, batch, factor)


def jit_step(definition: NetworkDefinition, settings: RunSettings, seed: int, mesh: Mesh) -> Any:
    """`pure_step` under `jax.jit` with every argument's place; it can be lowered from shapes."""
    state = sharding.shardings(state_shapes(definition, settings), mesh)
    whole = sharding.whole(mesh)
    return jax.jit(
        pure_step(definition, settings, seed, mesh),
        in_shardings=(state, sharding.by_sample(mesh), whole),
        out_shardings=(state, whole),
        donate_argnums=0,
    )


def pure_step(
    definition: NetworkDefinition, settings: RunSettings, seed: int, mesh: Mesh
) -> PureStep:
    """The step as a function (state, batch, cholesky) -> (next state, metrics)."""
    optimizer, schedule = make_optimizer(settings), learning_rate(settings)
    base_key = jax.random.key(seed)
    gradients_of = _gradients(definition, settings.accumulation_steps, mesh)

    def step(state: TrainState, batch: Batch, factor: jax.Array) -> tuple[TrainState, Metrics]:
        augment_key, loss_key = jax.random.split(jax.random.fold_in(base_key, state.step))
        batch = augment(batch, augment_key, settings)
        gradients, metrics = gradients_of(state, batch, loss_key, factor)
        updates, optimizer_state = optimizer.update(gradients, state.optimizer, state.parameters)
        parameters: Any = optax.apply_updates(state.parameters, updates)
        decay = average_decay(settings.ema_decay, state.step)
        average = jax.tree.map(
            lambda old, new: decay * old + (1.0 - decay) * new, state.average, parameters
        )
        metrics = {
            **metrics,
            "gradient_norm": optax.global_norm(gradients),
            "learning_rate": jnp.asarray(schedule(state.step)),
        }
        after = TrainState(state.step + 1, parameters, state.frozen, average, optimizer_state)
        return after, metrics

    return step


def _gradients(
    definition: NetworkDefinition, parts: int, mesh: Mesh
) -> Callable[[TrainState, Batch, jax.Array, jax.Array], tuple[Parameters, Metrics]]:
    """Gradients by the trained weights and metrics, means over `parts` equal parts of the batch."""
    gather = sharding.gather(mesh)

    def losses(
        trained: Parameters, frozen: Parameters, batch: Batch, key: jax.Array, factor: jax.Array
    ) -> tuple[jax.Array, Metrics]:
        network = definition.build({**frozen, **trained})
        with gathering(gather):
            values = compute_losses(network, batch, key, factor, definition.config)
        return values["total"], values

    def gradients(
        state: TrainState, batch: Batch, key: jax.Array, factor: jax.Array
    ) -> tuple[Parameters, Metrics]:
        found = jax.grad(losses, has_aux=True)(state.parameters, state.frozen, batch, key, factor)
        return sharding.constrain(found[0], mesh), found[1]

    def accumulated(
        state: TrainState, batch: Batch, key: jax.Array, factor: jax.Array
    ) -> tuple[Parameters, Metrics]:
        def add(total: Any, part: Any) -> tuple[Any, None]:
            part_batch, part_key = part
            found = gradients(state, part_batch, part_key, factor)
            return jax.tree.map(lambda old, new: old + new / parts, total, found), None

        inputs = (cut(batch, parts), jax.random.split(key, parts))
        first_batch, first_key = jax.tree.map(lambda array: array[0], inputs)
        shapes = jax.eval_shape(lambda: gradients(state, first_batch, first_key, factor))
        zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
        zeros = (sharding.constrain(zeros[0], mesh), zeros[1])
        return jax.lax.scan(add, zeros, inputs)[0]

    return gradients if parts == 1 else accumulated


def cut(batch: Batch, parts: int) -> Batch:
    """[B, ...] -> [parts, B / parts, ...], so that each device's samples stay on it.

    Sample i goes to part i % parts.
    """
    return jax.tree.map(
        lambda array: array.reshape(-1, parts, *array.shape[1:]).swapaxes(0, 1), batch
    )


def average_decay(decay: float, step: jax.Array) -> jax.Array:
    """The decay of the moving average at a step.

    Smaller at first, (1 + step) / (10 + step), so that short runs are not held back by the
    random initial weights; beyond some 9 / (1 - decay) steps it is `decay` itself.
    """
    return jnp.minimum(decay, (1.0 + step) / (10.0 + step))
