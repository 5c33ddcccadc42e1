"""One process of the official evaluator, and what the policy server sees of it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from hearth.evaluation.guard import STOP_SECONDS
from hearth.evaluation.processes import Child, last_lines

_METRIC = re.compile(
    r"^hearth_(port_requests_total|waiting|episode_steps|lost_total)\{"
    r'(?:kind="(\w+)",)?port="(\d+)"(?:,kind="(\w+)")?\} (\S+)$',
    re.MULTILINE,
)
_METRICS_SECONDS = 5.0


def guarded(command: Sequence[str], grace_seconds: float, stop: Sequence[str]) -> list[str]:
    """The command under a guard, which ends with this process and leaves nothing behind."""
    return [
        sys.executable, "-m", "hearth.evaluation.guard", "--parent", str(os.getpid()),
        "--grace", str(grace_seconds), "--stop", json.dumps(list(stop)), "--", *command,
    ]  # fmt: skip


def end(guard: subprocess.Popen[Any], grace_seconds: float) -> None:
    """End a guard with its command and everything that this started."""
    guard.terminate()
    try:
        # The grace for what was asked, for what the stop command ended, and for what is killed.
        guard.wait(3 * grace_seconds + STOP_SECONDS + 5.0)
    except subprocess.TimeoutExpired:
        guard.kill()
        guard.wait()


class EvaluatorProcess(Child):
    """The user's command under a guard, which ends it with everything that it started.

    Args:
        command: the words of the evaluator, Python first.
        log: gets its output.
        environment: variables beside those of this process.
        grace_seconds: from the request to end until it is enforced.
        stop: a command that ends what is no child of the evaluator's, before that.
    """

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        environment: Mapping[str, str],
        grace_seconds: float,
        stop: Sequence[str] = (),
    ) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self.log_start = log.stat().st_size if log.exists() else 0
        self._grace_seconds = grace_seconds
        super().__init__(
            guarded(command, grace_seconds, stop), log,
            environment=environment, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def memory_bytes(self) -> int:
        """Resident memory of the evaluator and all its children."""
        total = 0
        with contextlib.suppress(psutil.Error):
            for process in psutil.Process(self.process.pid).children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    total += process.memory_info().rss
        return total

    def log_tail(self) -> list[str]:
        """The last lines of its output."""
        return last_lines(self.log, self.log_start)

    def close(self) -> None:
        """End it with everything that it started."""
        end(self.process, self._grace_seconds)


@dataclass(frozen=True)
class Activity:
    """What one evaluator had of the policy server.

    Attributes:
        resets, answers: since the server's start.
        steps: answers since the last reset.
        waiting: observations that have no answer yet.
        lost: episodes that ended because a shared server did.
    """

    resets: int = 0
    answers: int = 0
    steps: int = 0
    waiting: int = 0
    lost: int = 0


def read_activity(address: tuple[str, int]) -> dict[int, Activity] | None:
    """The activity by port; None if the server does not say.

    An evaluator writes nothing for thousands of steps, so its requests are the only sign of life.
    """
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    url = f"http://{address[0]}:{address[1]}/metrics"
    try:
        with opener.open(url, timeout=_METRICS_SECONDS) as answer:
            return parse_activity(answer.read().decode())
    except (urllib.error.URLError, OSError):
        return None


def parse_activity(text: str) -> dict[int, Activity]:
    """From the text of ``/metrics``."""
    found: dict[int, dict[str, int]] = {}
    names = {
        "reset": "resets", "observation": "answers", "waiting": "waiting", "episode_steps": "steps",
        "lost_total": "lost",
    }  # fmt: skip
    for metric, before, port, after, value in _METRIC.findall(text):
        field = names[before or after or metric]
        found.setdefault(int(port), {})[field] = round(float(value))
    return {port: Activity(**values) for port, values in found.items()}
