"""Lets official evaluators play with a policy server that another job runs.

An evaluator sends no API key, says nothing of who it is, and goes on with its episode after a lost
connection. So each has a port of its own on the loopback address, with all rules of such a port
(`hearth.serving.episodes`), and the relay is what the shared server knows: a client with the key
that opens a connection for every episode and begins it with a reset. Where that connection is lost,
what the server remembered of the episode is lost too, and the evaluator gets an error.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hearth.core.errors import HearthError, ServingError
from hearth.core.lifetime import end_with_parent
from hearth.policy.record import PredictionRecord
from hearth.serving.client import PolicyClient, ServerLostError
from hearth.serving.record import read_record
from hearth.serving.server import serve

_LOOK_SECONDS = 1.0
_GREETING_SECONDS = 10.0


@dataclass(frozen=True)
class Relay:
    """Whom a relay asks, and for what.

    Attributes:
        record: the file that names the shared server.
        policy_hash: of the policy that is to play.
        task_index: of the benchmark; the evaluators of 2026 do not send it.
        steps_ahead: planned actions to ask for at once; within a plan nothing is observed.
        answer_seconds: the longest wait for an answer, and for a server when an episode begins.
        told: ask for what every prediction said.
    """

    record: Path
    policy_hash: str
    task_index: int
    steps_ahead: int
    answer_seconds: float
    told: bool = False

    def command(self) -> list[str]:
        """The words that start it, without its ports."""
        return [
            sys.executable, "-m", "hearth.evaluation.official_evaluator.relay",
            "--record", str(self.record), "--policy-hash", self.policy_hash,
            "--task-index", str(self.task_index), "--steps-ahead", str(self.steps_ahead),
            "--answer-seconds", str(self.answer_seconds),
        ]  # fmt: skip

    def connect(self) -> PolicyClient:
        """A new connection to the server of the present record, which may have to come first.

        Raises:
            ServerLostError: none came in time.
            ServingError: the record cannot be trusted, or the server has another policy.
        """
        end = time.monotonic() + self.answer_seconds
        while True:
            try:
                return self._connect()
            except ServerLostError:
                if time.monotonic() > end:
                    raise
            time.sleep(_LOOK_SECONDS)

    def _connect(self) -> PolicyClient:
        record = read_record(self.record)
        if record is None:
            raise ServerLostError(f"there is no {self.record}")
        if record.policy_hash != self.policy_hash:
            raise ServingError(
                f"the shared policy server at {record.host}:{record.port} serves policy "
                f"{record.policy_hash}; this evaluation is of {self.policy_hash}"
            )
        return PolicyClient(
            record.host, record.port, _GREETING_SECONDS, self.answer_seconds, record.key
        )


class RelayedPolicy:
    """One evaluator's episode, as a policy of the relay's own server."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._client: PolicyClient | None = None
        # What the last prediction said, as the server told it: the relay's own server writes it.
        self.record: PredictionRecord | None = None
        self.reset()

    def reset(self) -> None:
        """Forget the episode; the server hears of it with the next one's first observation."""
        self._begun = False
        self._planned: deque[np.ndarray] = deque()

    def act(self, observation: dict[str, Any]) -> np.ndarray:
        """The next action, float32[D].

        Raises:
            ServerLostError: the server ended or does not answer, and the episode with it.
            ServingError: the server reports an error.
        """
        if not self._begun:
            self._begin()
        if not self._planned:
            assert self._client is not None, "the episode has begun"
            task = np.array([self._relay.task_index], np.int64)
            self._planned.extend(
                self._client.plan({**observation, "task_id": task}, self._relay.steps_ahead)
            )
        return self._planned.popleft()

    def _begin(self) -> None:
        if self._client is not None:
            self._client.close()
        self._client = self._relay.connect()
        self._client.on_prediction = self._note if self._relay.told else None
        self._client.reset()
        self._begun = True

    def _note(self, prediction: dict[str, Any]) -> None:
        self.record = PredictionRecord(**prediction)


def main(arguments: Sequence[str] | None = None) -> int:
    """Relay until SIGTERM; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", type=Path, required=True)
    parser.add_argument("--policy-hash", required=True)
    parser.add_argument("--task-index", type=int, required=True)
    parser.add_argument("--steps-ahead", type=int, required=True)
    parser.add_argument("--answer-seconds", type=float, required=True)
    parser.add_argument("--port", type=int, nargs="+", required=True, help="one per evaluator")
    parser.add_argument("--ready-file", type=Path, required=True)
    parser.add_argument("--predictions", type=Path, help="folder of what was predicted")
    parser.add_argument("--parent", type=int, required=True, help="end with this process")
    options = parser.parse_args(arguments)
    end_with_parent(options.parent)
    relay = Relay(
        options.record, options.policy_hash, options.task_index, options.steps_ahead,
        options.answer_seconds, told=options.predictions is not None,
    )  # fmt: skip
    try:
        serve(
            lambda: RelayedPolicy(relay), "127.0.0.1", options.port,
            ready_file=options.ready_file, one_evaluator_per_port=True,
            predictions=options.predictions,
        )  # fmt: skip
    except HearthError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
