"""The training state as one pytree, and its optimizer."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import optax

from hearth.core.sections import RunSettings
from hearth.policy.network import NetworkDefinition, Parameters


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TrainState:
    """Everything that a checkpoint holds; the position in the data is `step`.

    Attributes:
        step: int32[], finished optimizer steps.
        parameters: the weights by name.
        average: exponential moving average of the weights; this is what acts.
        optimizer: the optimizer's state.
    """

    step: jax.Array
    parameters: Parameters
    average: Parameters
    optimizer: optax.OptState


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
            mask=lambda parameters: jax.tree.map(lambda array: array.ndim > 1, parameters),
        ),
    )


def initial_state(definition: NetworkDefinition, settings: RunSettings, seed: int) -> TrainState:
    """Step 0, a function of `seed` alone."""
    parameters = definition.initialise(seed)
    # The compiled step gives its input's memory away, so the average needs its own.
    average, optimizer = jax.jit(
        lambda weights: (jax.tree.map(jnp.copy, weights), make_optimizer(settings).init(weights))
    )(parameters)
    return TrainState(jnp.zeros((), jnp.int32), parameters, average, optimizer)
