"""The compiled sampling function of one bundle, shared by any number of policies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np

from hearth.core.errors import ServingError
from hearth.core.sections import RuntimeSettings
from hearth.data.resize import resize_with_padding
from hearth.model.configuration import ModelConfig
from hearth.model.inpainting import DEFAULT_RULES, Inpainting, InpaintingRules
from hearth.model.sampling import sample_actions
from hearth.policy.bundle import Bundle
from hearth.policy.network import NetworkDefinition, Parameters
from hearth.policy.resizing import resize_on_device


@dataclass(frozen=True)
class Sampling:
    """How a chunk is sampled; requests share a batch, and a compilation, only if this is equal.

    Attributes:
        flow_steps: Euler steps.
        keep: how many actions are inpainted where there are targets; 0 without inpainting.
        correlated_noise: whether the flow starts from correlated noise (report, 5); without it
            nothing moves along with inpainted actions either.
        inpainting_rules: how inpainting is applied.
        inpaint_padding: whether padding dimensions are held as well, at zero.
    """

    flow_steps: int
    keep: int = 0
    correlated_noise: bool = True
    inpainting_rules: InpaintingRules = DEFAULT_RULES
    inpaint_padding: bool = False

    @classmethod
    def of(cls, runtime: RuntimeSettings) -> Sampling:
        """The part of the runtime settings that concerns sampling."""
        return cls(
            flow_steps=runtime.flow_steps,
            keep=runtime.actions_to_keep if runtime.inpainting else 0,
            correlated_noise=runtime.correlated_noise,
            inpainting_rules=InpaintingRules(
                threshold=runtime.inpainting_threshold,
                large_correction=runtime.inpainting_large_correction,
            ),
            inpaint_padding=runtime.inpainting_padding,
        )


@dataclass(frozen=True)
class Request:
    """One robot's question for a chunk.

    Attributes:
        images: per camera uint8[h, w, 3 or 4]; what is not of the network's size is resized.
        state: float32[D], normalised.
        task, stage: task index and current stage.
        seed, index: of the episode, and of the prediction within it; they alone fix the noise.
        sampling: how to sample.
        kept: float32[keep, D], normalised targets of the first actions; None at the start.
    """

    images: dict[str, np.ndarray]
    state: np.ndarray
    task: int
    stage: int
    seed: int
    index: int
    sampling: Sampling
    kept: np.ndarray | None = None


@dataclass(frozen=True)
class Prediction:
    """`actions` float32[H, D], a normalised chunk; `stage_logits` float32[15]."""

    actions: np.ndarray
    stage_logits: np.ndarray


class Predictor(Protocol):
    """What answers requests: the runner of one bundle, or something in front of it."""

    @property
    def bundle(self) -> Bundle:
        """What it predicts with; parameters may be missing."""
        ...

    def predict_batch(
        self, requests: Sequence[Request], padded_size: int | None = None
    ) -> list[Prediction]:
        """One prediction per request, in their order; see `PolicyRunner.predict_batch`."""
        ...


class PolicyRunner:
    """Samples action chunks; compiles once per `Sampling` and batch size.

    Runners of equal networks share what is compiled, so that changing the bundle costs its
    loading alone.

    Attributes:
        bundle: what it runs, without the parameters, which are on the device.
        definition: the network's structure.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = replace(bundle, parameters={})
        self.definition, self._sample = _sampler(bundle.config)
        self._parameters = self.definition.check(bundle.parameters, str(bundle.path))
        self._cholesky = jnp.asarray(bundle.statistics.cholesky(bundle.model.correlation_shrinkage))

    @property
    def parameter_bytes(self) -> int:
        """Bytes of the parameters on the device."""
        return sum(array.nbytes for array in self._parameters.values())

    def predict_batch(
        self, requests: Sequence[Request], padded_size: int | None = None
    ) -> list[Prediction]:
        """Chunks for several robots at once; each is what the robot would get alone.

        Equal to single predictions within rounding (1e-5), and bit for bit when both are computed
        at the same padded size.

        Args:
            requests: of one `Sampling`.
            padded_size: rows of the computation; the requests are repeated to fill them. Few
                different sizes mean few compilations. None: as many as there are requests.

        Raises:
            ServingError: more requests than rows, or requests that are sampled differently.
        """
        if not requests:
            return []
        size = len(requests) if padded_size is None else padded_size
        if len(requests) > size:
            raise ServingError(f"{len(requests)} requests do not fit in a batch of {size}")
        sampling = requests[0].sampling
        for request in requests:
            if request.sampling != sampling:
                raise ServingError(
                    f"requests of one batch must be sampled alike: {request.sampling}, {sampling}"
                )
        rows = [requests[row % len(requests)] for row in range(size)]
        actions, logits = self._sample(
            self._parameters,
            self._cholesky,
            _observation(rows, self.bundle.image_size),
            np.asarray([[row.seed, row.index] for row in rows], np.uint32),
            _inpainting(rows, self.bundle.config),
            sampling=sampling,
        )
        actions, logits = np.asarray(actions), np.asarray(logits)
        return [Prediction(actions[row], logits[row]) for row in range(len(requests))]


def _observation(rows: Sequence[Request], image_size: int) -> dict:
    images = {name: [row.images[name] for row in rows] for name in rows[0].images}
    return {
        "images": {name: _stacked(several, image_size) for name, several in images.items()},
        "state": np.stack([np.asarray(row.state, np.float32) for row in rows]),
        "task": np.asarray([row.task for row in rows], np.int32),
        "stage": np.asarray([row.stage for row in rows], np.int32),
    }


def _stacked(images: Sequence[np.ndarray], size: int) -> np.ndarray | jax.Array:
    """Images of one camera as uint8[B, size, size, 3]."""
    shapes = {image.shape for image in images}
    if len(shapes) > 1:
        return np.stack([resize_with_padding(image, size) for image in images])
    # Not part of the network's own program: that one is compiled for one size of images only.
    stacked = np.stack(images)
    return stacked if shapes == {(size, size, 3)} else resize_on_device(stacked, size)


def _inpainting(rows: Sequence[Request], config: ModelConfig) -> Inpainting | None:
    """Masked targets stand in where there are none, so that one compilation serves both."""
    sampling = rows[0].sampling
    if sampling.keep == 0:
        return None
    width = config.flow_width if sampling.inpaint_padding else config.action_width
    targets = np.zeros((len(rows), sampling.keep, width), np.float32)
    for target, row in zip(targets, rows, strict=True):
        if row.kept is not None:
            target[:, : config.action_width] = row.kept
    mask = np.array([row.kept is not None for row in rows])
    return Inpainting(targets, mask)  # type: ignore[arg-type]


@lru_cache(maxsize=8)
def _sampler(config: ModelConfig) -> tuple[NetworkDefinition, Callable[..., tuple]]:
    """The structure of a network and its sampling function, whose compilations stay with it."""
    definition = NetworkDefinition(config)

    def sample(
        parameters: Parameters,
        cholesky: jax.Array,
        observation: dict,
        noise_seeds: jax.Array,
        inpainting: Inpainting | None,
        *,
        sampling: Sampling,
    ) -> tuple[jax.Array, jax.Array]:
        keys = jax.vmap(lambda pair: jax.random.fold_in(jax.random.key(pair[0]), pair[1]))(
            noise_seeds
        )
        network = definition.build(parameters)
        factor = cholesky if sampling.correlated_noise else jnp.eye(len(cholesky))
        return sample_actions(
            network,
            observation,
            keys,
            factor,
            sampling.flow_steps,
            inpainting,
            sampling.inpainting_rules,
        )

    return definition, jax.jit(sample, static_argnames="sampling")
