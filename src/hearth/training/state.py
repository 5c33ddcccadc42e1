"""The training state as one pytree, and its optimizer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from hearth.core.sections import RunSettings
from hearth.policy.network import NetworkDefinition, Parameters
from hearth.training.sharding import shardings


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TrainState:
    """Everything that a checkpoint holds; the position in the data is `step`.

    Attributes:
        step: int32[], finished optimizer steps.
        parameters: the weights that are trained, by name.
        frozen: the weights that are not (`NetworkDefinition.frozen`): they have no gradient, no
            moments and no average, and are stored in the type that the network computes with.
        average: exponential moving average of the trained weights; with `frozen`, this acts.
        optimizer: the optimizer's state.
    """

    step: jax.Array
    parameters: Parameters
    frozen: Parameters
    average: Parameters
    optimizer: optax.OptState

    @property
    def acting(self) -> Parameters:
        """All weights of the policy that this state stands for."""
        return {**self.frozen, **self.average}


def learning_rate(settings: RunSettings) -> optax.Schedule:
    """Linear warm-up, a cosine down to the final fraction at `decay_steps`, constant after."""
    end = settings.steps if settings.decay_steps is None else settings.decay_steps
    warmup = min(settings.warmup_steps, max(end - 1, 0))
    return optax.warmup_cosine_decay_schedule(
        init_value=settings.learning_rate / (warmup + 1),
        peak_value=settings.learning_rate,
        warmup_steps=warmup,
        decay_steps=max(end, warmup + 1),
        end_value=settings.learning_rate * settings.final_learning_rate_fraction,
    )


def make_optimizer(settings: RunSettings) -> optax.GradientTransformation:
    """AdamW with clipping by the global norm; only matrices and tables decay."""
    return optax.chain(
        optax.clip_by_global_norm(settings.gradient_clip),
        optax.adamw(
            learning_rate(settings),
            b1=settings.adam_beta1,
            b2=settings.adam_beta2,
            weight_decay=settings.weight_decay,
            mask=_decaying,
        ),
    )


def _decaying(parameters: Any) -> dict[str, bool]:
    return {name: decays(name, array.ndim) for name, array in parameters.items()}


def decays(name: str, dimensions: int) -> bool:
    """Whether weight decay acts on a parameter.

    Scales and biases of stacked layers have two axes; their names tell them from matrices.
    """
    return dimensions > 1 and not name.endswith(("scale", "bias"))


def start(
    parameters: Parameters, definition: NetworkDefinition, settings: RunSettings
) -> TrainState:
    """The state of step 0 with these weights; also for shapes, under `jax.eval_shape`."""
    trained = {name: parameters[name] for name in parameters if name not in definition.frozen}
    frozen = {name: parameters[name] for name in parameters if name in definition.frozen}
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        parameters=trained,
        frozen=frozen,
        # The compiled step gives its input's memory away, so the average needs its own.
        average=jax.tree.map(jnp.copy, trained),
        optimizer=make_optimizer(settings).init(trained),
    )


def state_shapes(definition: NetworkDefinition, settings: RunSettings) -> TrainState:
    """Shapes and types of the state, without its numbers."""
    return jax.eval_shape(
        lambda parameters: start(parameters, definition, settings), definition.shapes
    )


def initial_state(
    definition: NetworkDefinition, settings: RunSettings, seed: int, mesh: Mesh
) -> TrainState:
    """Step 0, a function of `seed` alone, spread over the devices of `mesh`."""
    return state_from(definition.initialise(seed), definition, settings, mesh)


def state_from(
    parameters: Parameters, definition: NetworkDefinition, settings: RunSettings, mesh: Mesh
) -> TrainState:
    """Step 0 with given weights, spread over the devices of `mesh`."""
    target = shardings(state_shapes(definition, settings), mesh)
    begin = jax.jit(lambda weights: start(weights, definition, settings), out_shardings=target)
    return begin(parameters)
