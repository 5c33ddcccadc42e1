"""The child processes of an evaluation: simulator workers and the policy server."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hearth.core.errors import EvaluationError
from hearth.core.files import read_json
from hearth.core.temporary import TemporaryFolder
from hearth.evaluation.worker import Assignment, Setup, as_line

_GRACE_SECONDS = 3.0
_LOG_LINES = 30
_SHELLS_SIGNALS = 128
# Several processes share the cores: threads inside one of them only get in each other's way.
_ONE_THREAD: dict[str, str] = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1"
)


def last_lines(path: Path, start: int = 0) -> list[str]:
    """The last lines of a log, from byte `start` on."""
    with contextlib.suppress(OSError), path.open("rb") as log:
        log.seek(start)
        return log.read().decode("utf-8", "replace").splitlines()[-_LOG_LINES:]
    return []


def describe_exit(code: int) -> str:
    """How a process ended, in words."""
    if code > _SHELLS_SIGNALS:  # what shells and containers make of a signal
        with contextlib.suppress(ValueError):
            name = signal.Signals(code - _SHELLS_SIGNALS).name
            return f"exited with code {code}, as after {name}"
    if code >= 0:
        return f"exited with code {code}"
    with contextlib.suppress(ValueError):
        return f"was ended by {signal.Signals(-code).name}"
    return f"was ended by signal {-code}"


class Child:
    """A process with its own log and its own session: Ctrl-C reaches the parent alone, which

    then ends its children in order.
    """

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        *,
        environment: Mapping[str, str] = _ONE_THREAD,
        pass_fds: tuple[int, ...] = (),
        **options: Any,
    ) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                list(command), stdout=output, stderr=subprocess.STDOUT, pass_fds=pass_fds,
                start_new_session=True, env={**os.environ, **environment}, **options,
            )  # fmt: skip

    def kill(self) -> None:
        """End the process at once and wait for it."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """Ask the process to end, then make it."""
        self.process.terminate()
        try:
            self.process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()


class WorkerProcess(Child):
    """One simulator worker and the pipe on which it reports."""

    def __init__(self, setup: Setup, log: Path) -> None:
        self._events, writer = os.pipe()
        os.set_blocking(self._events, False)
        command = [
            sys.executable, "-m", "hearth.evaluation.worker",
            "--events", str(writer), "--parent", str(os.getpid()),
        ]  # fmt: skip
        try:
            super().__init__(command, log, pass_fds=(writer,), stdin=subprocess.PIPE)
        finally:
            os.close(writer)
        self._buffer = b""
        self.ready = False
        self.job: Any = None
        self.failure: dict[str, Any] | None = None  # what it reported before it ended
        self.log_start = log.stat().st_size
        self.last_sign = time.monotonic()
        self._tell(as_line(setup))

    def fileno(self) -> int:
        """The event pipe, for selecting."""
        return self._events

    def assign(self, job: Any, assignment: Assignment) -> None:
        """Give the idle worker an episode; `job` is the caller's own record of it."""
        self.job = job
        self.log_start = self.log.stat().st_size
        self.last_sign = time.monotonic()
        self._tell(as_line(assignment))

    def _tell(self, line: str) -> None:
        assert self.process.stdin is not None
        # A worker that has just died is noticed by the end of its events.
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(line.encode())
            self.process.stdin.flush()

    def receive(self) -> tuple[list[dict[str, Any]], bool]:
        """The events that have come, and whether the worker has ended."""
        ended = False
        while True:
            try:
                data = os.read(self._events, 65536)
            except BlockingIOError:
                break
            if not data:
                ended = True
                break
            self._buffer += data
        *lines, self._buffer = self._buffer.split(b"\n")
        if lines:
            self.last_sign = time.monotonic()
        return [json.loads(line) for line in lines], ended

    def silent_seconds(self) -> float:
        """How long nothing was heard of it."""
        return time.monotonic() - self.last_sign

    def log_tail(self) -> list[str]:
        """The last lines of its log since the present episode began."""
        return last_lines(self.log, self.log_start)

    def close(self) -> None:
        """End the process and the pipe."""
        self.kill()
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        os.close(self._events)


def _shared_device() -> dict[str, str]:
    """A server takes what it needs of a GPU: simulators and servers beside it need memory too."""
    name = "XLA_PYTHON_CLIENT_PREALLOCATE"
    return {name: os.environ.get(name, "false")}


class PolicyServer(Child):
    """The policy server of one evaluation.

    Attributes:
        address: host and the first port.
        ports: all of them.
        key: the API key that its clients need; only shared servers want one.
    """

    key: str | None = None

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        deadline_seconds: float,
        *,
        ports: int = 1,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        with TemporaryFolder("server") as folder:
            ready = folder.path / "ready.json"
            options = ["--ready-file", str(ready), "--parent", str(os.getpid())]
            start = log.stat().st_size if log.exists() else 0
            super().__init__(
                [*command, "--port", *["0"] * ports, *options], log,
                environment={**_ONE_THREAD, **_shared_device(), **(environment or {})},
            )  # fmt: skip
            try:
                self.address, self.ports = self._wait(ready, start, deadline_seconds)
            except BaseException:
                self.kill()
                raise

    def _wait(
        self, ready: Path, start: int, deadline_seconds: float
    ) -> tuple[tuple[str, int], list[int]]:
        end = time.monotonic() + deadline_seconds
        while not ready.exists():
            code = self.process.poll()
            if code is not None or time.monotonic() > end:
                what = "was not ready in time" if code is None else describe_exit(code)
                tail = "\n".join(last_lines(self.log, start))
                raise EvaluationError(f"the policy server {what}; the end of {self.log}:\n{tail}")
            time.sleep(0.05)
        address = read_json(ready)
        return (address["host"], address["port"]), address["ports"]
