"""A synchronous client of the policy server, speaking as the official evaluators do."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import numpy as np
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import connect

from hearth.core.errors import ServingError
from hearth.serving import wire

_POLL_SECONDS = 0.1
_HEALTH_SECONDS = 5.0


class ServerLostError(ServingError):
    """The server does not answer: another one may. Other errors would come back from any server."""


def health_problem(host: str, port: int) -> str | None:
    """None if ``GET /healthz`` is answered as a policy server does, otherwise what is wrong."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{host}:{port}/healthz", timeout=_HEALTH_SECONDS) as answer:
            if answer.status == 200 and answer.read() == b"OK\n":
                return None
    except (urllib.error.URLError, OSError) as error:
        return str(getattr(error, "reason", error))
    return "something else than a policy server answers there"


def wait_until_healthy(
    host: str, port: int, deadline_seconds: float, alive: Callable[[], bool] = lambda: True
) -> None:
    """Poll ``GET /healthz`` until the server answers.

    Args:
        host, port: where the server listens.
        deadline_seconds: how long to wait.
        alive: asked between polls; False ends the wait at once (the server's process ended).

    Raises:
        ServerLostError: the server did not answer in time or ended.
    """
    end = time.monotonic() + deadline_seconds
    while True:
        reason = health_problem(host, port)
        if reason is None:
            return
        if not alive():
            raise ServerLostError(f"the policy server for {host}:{port} ended before it was ready")
        if time.monotonic() >= end:
            raise ServerLostError(
                f"no policy server at {host}:{port} after {deadline_seconds:g} s ({reason})"
            )
        time.sleep(_POLL_SECONDS)


class PolicyClient:
    """One connection, which is one episode at a time.

    Args:
        host, port: where the server listens.
        deadline_seconds: how long to wait for the server to become healthy.
        answer_seconds: the longest wait for one answer.
        api_key: sent to servers that want one.

    Attributes:
        metadata: what the server says of itself.
        on_prediction: called by `plan` with what the server tells of every prediction (the fields
            of `hearth.policy.record.PredictionRecord`); None does not ask for it.

    Raises:
        ServerLostError: no server in time.
    """

    def __init__(
        self,
        host: str,
        port: int,
        deadline_seconds: float = 60.0,
        answer_seconds: float = 600.0,
        api_key: str | None = None,
    ) -> None:
        self.address = f"{host}:{port}"
        self.answer_seconds = answer_seconds
        self.on_prediction: Callable[[dict[str, Any]], None] | None = None
        wait_until_healthy(host, port, deadline_seconds)
        try:
            self._socket = connect(
                f"ws://{self.address}", compression=None, max_size=None, proxy=None,
                ping_interval=60, ping_timeout=None, open_timeout=deadline_seconds,
                additional_headers={"Authorization": f"Api-Key {api_key}"} if api_key else None,
            )  # fmt: skip
            self.metadata: dict[str, Any] = self._receive()
        except (OSError, InvalidHandshake, TimeoutError) as error:
            raise ServerLostError(f"cannot connect to {self.address}: {error}") from error

    def reset(self) -> None:
        """Tell the policy that an episode starts. No answer comes."""
        self._send({"reset": True})

    def act(self, observation: dict[str, Any]) -> np.ndarray:
        """Send one observation map; returns the action, float32[D].

        Raises:
            ServerLostError: the connection was lost, or no answer came in time.
            ServingError: the server reports an error.
        """
        self._send(observation)
        answer = self._receive()
        if "action" not in answer:
            raise ServingError(f"{self.address} answered without 'action': {sorted(answer)}")
        return np.asarray(answer["action"], dtype=np.float32)

    def plan(self, observation: dict[str, Any], count: int) -> np.ndarray:
        """Send one observation map; returns the actions of the next `count` steps, float32[n, D].

        n is `count`, or 1 where the server gives no chunk: it never crosses a prediction.

        Raises:
            ServerLostError, ServingError: as `act`.
        """
        asked: dict[str, Any] = {wire.CHUNK_KEY: np.array(count)} if count > 1 else {}
        if self.on_prediction is not None:
            asked[wire.RECORD_KEY] = True
        self._send({**observation, **asked})
        answer = self._receive()
        if self.on_prediction is not None and wire.RECORD in answer:
            self.on_prediction(answer[wire.RECORD])
        chunk = answer.get("action_chunk")
        actions = [answer.get("action")] if chunk is None else chunk
        if actions[0] is None:
            raise ServingError(f"{self.address} answered without 'action': {sorted(answer)}")
        return np.asarray(actions, dtype=np.float32)

    def close(self) -> None:
        """Close the connection; closing twice is harmless."""
        self._socket.close()

    def __enter__(self) -> PolicyClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _send(self, value: dict[str, Any]) -> None:
        try:
            self._socket.send(wire.pack(value))
        except ConnectionClosed as error:
            raise self._lost(error) from error

    def _receive(self) -> dict[str, Any]:
        try:
            frame = self._socket.recv(timeout=self.answer_seconds)
        except TimeoutError as error:
            raise ServerLostError(
                f"{self.address} did not answer within {self.answer_seconds:g} s"
            ) from error
        except ConnectionClosed as error:
            raise self._lost(error) from error
        if isinstance(frame, str):
            raise ServingError(f"error in the policy server at {self.address}: {frame}")
        answer = wire.unpack(frame)
        if not isinstance(answer, dict):
            raise ServingError(f"{self.address} sent {type(answer).__name__}, not a map")
        return answer

    def _lost(self, error: ConnectionClosed) -> ServingError:
        return ServerLostError(
            f"lost the connection to the policy server at {self.address}: {error}"
        )
