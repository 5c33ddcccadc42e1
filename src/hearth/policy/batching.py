"""Several episodes act at once: one batched prediction for all whose plans have run out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from hearth.policy.runner import Prediction, Predictor, Request


class BatchedPolicy(Protocol):
    """An episode whose `act` comes in two halves (see `hearth.policy.runtime.Policy`)."""

    @property
    def predictor(self) -> Predictor:
        """What answers this episode's requests."""
        ...

    def prepare(self, observation: Mapping[str, Any]) -> np.ndarray | Request:
        """The next planned action, or what to ask the network for."""
        ...

    def finish(self, prediction: Prediction) -> np.ndarray:
        """The action that follows from the prediction."""
        ...


def act_batch(
    policies: Sequence[BatchedPolicy],
    observations: Sequence[Mapping[str, Any]],
    padded_size: int | None = None,
) -> list[np.ndarray]:
    """The next action of every episode, float32[D] each, as each policy's `act` would give it.

    Args:
        policies: one per episode; they may use different bundles and settings.
        observations: of the same episodes.
        padded_size: rows of a batched prediction; longer batches are cut. None: no padding.

    Raises:
        ServingError: an observation is not what the robot sends; the other episodes have then
            moved on as well, so that all of them have to be reset.
    """
    actions: dict[int, np.ndarray] = {}
    groups: dict[tuple, list[tuple[int, Request]]] = {}
    for place, (policy, observation) in enumerate(zip(policies, observations, strict=True)):
        due = policy.prepare(observation)
        if isinstance(due, Request):
            groups.setdefault((id(policy.predictor), due.sampling), []).append((place, due))
        else:
            actions[place] = due
    for group in groups.values():
        length = padded_size or len(group)
        for start in range(0, len(group), length):
            part = group[start : start + length]
            predictor = policies[part[0][0]].predictor
            found = predictor.predict_batch([request for _, request in part], padded_size)
            for (place, _), prediction in zip(part, found, strict=True):
                actions[place] = policies[place].finish(prediction)
    return [actions[place] for place in range(len(policies))]
