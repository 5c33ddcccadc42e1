"""The policy server that an evaluation plays with: a process of its own, or another job's."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from hearth.core.errors import EvaluationError, ServingError
from hearth.evaluation.processes import PolicyServer
from hearth.serving.client import PolicyClient, ServerLostError, health_problem
from hearth.serving.record import ServerRecord, read_record

_LOOK_SECONDS = 1.0  # between two looks at a shared server
_GREETING_SECONDS = 10.0


class Server(Protocol):
    """A server that is ready."""

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        ...

    @property
    def key(self) -> str | None:
        """The API key that it wants."""
        ...


class Servers(Protocol):
    """Where servers come from, one at a time; a lost one is followed by another."""

    def prepare(self) -> None:
        """Get a server ready that this evaluation starts itself."""
        ...

    def current(self) -> Server | None:
        """The server for the next episode; None while there is none."""
        ...

    def lost(self, server: Server) -> None:
        """An episode failed because `server` did not answer."""
        ...

    def close(self) -> None:
        """The evaluation is over."""
        ...


@dataclass(frozen=True)
class SharedServerFile:
    """Where to find a server that another job runs.

    Attributes:
        path: the file of its record, which is there while it serves.
        wait_seconds: how long to wait for it.
    """

    path: str
    wait_seconds: float


def servers_of(
    command: Sequence[str],
    shared: SharedServerFile | None,
    log: Path,
    start_seconds: float,
    policy_hash: str,
) -> Servers:
    """The servers of one evaluation.

    Args:
        command: of a server of its own, without its port.
        shared: the server to play with instead.
        log: of a server of its own.
        start_seconds: within which that one must be ready.
        policy_hash: of the policy that is to play.
    """
    if shared is None:
        return OwnServers(command, log, start_seconds)
    return SharedServers(shared, policy_hash)


class OwnServers:
    """Processes of this one, beside the simulators."""

    def __init__(self, command: Sequence[str], log: Path, start_seconds: float) -> None:
        self._command, self._log, self._start_seconds = command, log, start_seconds
        self._server: PolicyServer | None = None

    def prepare(self) -> None:
        """Start a server where there is none or a dead one, and wait until it is ready.

        Raises:
            EvaluationError: it ends or is not ready in time.
        """
        if self._server is not None and self._server.process.poll() is not None:
            self._server = None
        if self._server is None:
            self._server = PolicyServer(self._command, self._log, self._start_seconds)

    def current(self) -> PolicyServer | None:
        """The server, which may have died since."""
        return self._server

    def lost(self, server: Server) -> None:
        """End the server that an episode failed on, unless it has been replaced already."""
        if self._server is not None and server is self._server:
            self._server.kill()
            self._server = None

    def close(self) -> None:
        """End the server."""
        if self._server is not None:
            self._server.stop()


class SharedServers:
    """The servers that jobs of the launcher run, one after another, found by their record."""

    def __init__(self, shared: SharedServerFile, policy_hash: str) -> None:
        self._path, self._wait_seconds = Path(shared.path), shared.wait_seconds
        self._policy_hash = policy_hash
        self._look_at = 0.0  # monotonic seconds
        self._found: ServerRecord | None = None  # at the last look
        self._missing_since: float | None = None
        self.metadata: dict[str, Any] = {}  # what the server last found says of itself

    def prepare(self) -> None:
        """The launcher starts them."""

    def current(self) -> ServerRecord | None:
        """The server if it answers; a record that was left behind by a killed one counts as none.

        Raises:
            ServingError: the record cannot be trusted.
            EvaluationError: the server has another policy, or none came in time.
        """
        now = time.monotonic()
        if now < self._look_at:
            return self._found
        self._look_at, self._found = now + _LOOK_SECONDS, None
        record = read_record(self._path)
        problem = f"there is no {self._path}"
        if record is not None:
            try:
                self.metadata = _greet(record)
            except ServingError as error:
                problem = f"the one at {record.host}:{record.port} is not to be reached ({error})"
            else:
                self._found = self._checked(record)
                return self._found
        self._wait(now, problem)
        return None

    def _checked(self, record: ServerRecord) -> ServerRecord:
        self._missing_since = None
        if record.policy_hash != self._policy_hash:
            raise EvaluationError(
                f"the shared policy server at {record.host}:{record.port} serves policy "
                f"{record.policy_hash}; this evaluation is of {self._policy_hash}"
            )
        return record

    def _wait(self, now: float, problem: str) -> None:
        if self._missing_since is None:
            self._missing_since = now
            print(f"waiting for the shared policy server: {problem}", file=sys.stderr, flush=True)
        if now - self._missing_since > self._wait_seconds:
            raise EvaluationError(
                f"no shared policy server within {self._wait_seconds:g} s: {problem}. Its job may "
                "wait in the queue: see launcher.shared_server, or choose launcher.server 'shard'"
            )

    def lost(self, server: Server) -> None:
        """The next look tells whether it is gone or another one took its place."""
        self._look_at = 0.0

    def close(self) -> None:
        """Others play with it; it ends when nobody does."""


def _greet(record: ServerRecord) -> dict[str, Any]:
    """What the server says of itself, once it takes the key.

    The port of a server that was killed may be another one's by now.

    Raises:
        ServingError: it does not answer, or refuses the key.
    """
    trouble = health_problem(*record.address)
    if trouble is not None:
        raise ServerLostError(trouble)
    seconds = _GREETING_SECONDS
    with PolicyClient(record.host, record.port, seconds, seconds, record.key) as client:
        return client.metadata
