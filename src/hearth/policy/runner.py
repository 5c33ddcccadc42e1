"""The compiled sampling function of one bundle, shared by any number of policies."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from hearth.model.sampling import Inpainting, sample_actions
from hearth.policy.bundle import Bundle
from hearth.policy.network import NetworkDefinition, Parameters


@dataclass(frozen=True)
class Prediction:
    """`actions` float32[H, D], a normalised chunk; `stage_logits` float32[15]."""

    actions: np.ndarray
    stage_logits: np.ndarray


class PolicyRunner:
    """Samples action chunks; compiles once per number of flow steps and of kept actions.

    Attributes:
        bundle: what it runs.
        definition: the network's structure.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.definition = NetworkDefinition(bundle.config)
        self._parameters = self.definition.check(bundle.parameters, str(bundle.path))
        self._cholesky = jnp.asarray(bundle.statistics.cholesky(bundle.model.correlation_shrinkage))
        self._sample = jax.jit(self._sample_one, static_argnames="flow_steps")

    def predict(
        self,
        images: dict[str, np.ndarray],
        state: np.ndarray,
        task: int,
        stage: int,
        *,
        seed: int,
        index: int,
        flow_steps: int,
        keep: int = 0,
        kept: np.ndarray | None = None,
    ) -> Prediction:
        """One chunk for one robot.

        Args:
            images: per camera uint8[size, size, 3].
            state: float32[D], normalised.
            task, stage: task index and current stage.
            seed, index: of the episode, and of the prediction within it; they fix the noise.
            flow_steps: Euler steps.
            keep: how many actions are inpainted once there are targets; 0 without inpainting.
            kept: float32[keep, D], the normalised targets; None at the start of an episode.
        """
        observation = {
            "images": {name: image[None] for name, image in images.items()},
            "state": np.asarray(state, np.float32)[None],
            "task": np.asarray([task], np.int32),
            "stage": np.asarray([stage], np.int32),
        }
        actions, logits = self._sample(
            self._parameters,
            self._cholesky,
            observation,
            np.asarray([seed, index], np.uint32),
            self._inpainting(keep, kept),
            flow_steps=flow_steps,
        )
        return Prediction(np.asarray(actions[0]), np.asarray(logits[0]))

    def _inpainting(self, keep: int, kept: np.ndarray | None) -> Inpainting | None:
        """Masked targets stand in where there are none, so that one compilation serves both."""
        if keep == 0:
            return None
        targets = np.zeros((1, keep, self.bundle.config.action_width), np.float32)
        if kept is not None:
            targets[0] = kept
        return Inpainting(targets, np.array([kept is not None]))  # type: ignore[arg-type]

    def _sample_one(
        self,
        parameters: Parameters,
        cholesky: jax.Array,
        observation: dict,
        noise_seed: jax.Array,
        inpainting: Inpainting | None,
        *,
        flow_steps: int,
    ) -> tuple[jax.Array, jax.Array]:
        key = jax.random.fold_in(jax.random.key(noise_seed[0]), noise_seed[1])
        network = self.definition.build(parameters)
        return sample_actions(network, observation, key, cholesky, flow_steps, inpainting)
