"""The simulator process: plays the episodes it is given, one by one.

Told over standard input and answering on a pipe of its own, both in lines of JSON, so that what
libraries print goes to the log. The first line is the set-up, every further line an episode; the
end of input ends the process. After a fault it reports the reason and exits: its successor
starts with a clean simulator.
"""

from __future__ import annotations

import argparse
import faulthandler
import importlib.metadata
import json
import os
import platform
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hearth.benchmark import Benchmark
from hearth.core.errors import HearthError, StorageError
from hearth.core.lifetime import end_with_parent
from hearth.core.traces import trace_path, write_trace
from hearth.evaluation import identity
from hearth.evaluation.environments import load_factory
from hearth.evaluation.episode import Actor, EpisodeJob, ExpertActor, ServerActor, run_episode
from hearth.evaluation.trace import TraceRecorder
from hearth.serving.client import PolicyClient, ServerLostError

_HEARTBEAT_SECONDS = 0.5


@dataclass(frozen=True)
class Setup:
    """What a worker is for.

    Attributes:
        task: the task it plays.
        benchmark: the benchmark's facts, as JSON.
        environment: ``module:function`` of the environment factory.
        image_size: camera images [pixels]; None renders no camera.
        expert: the scripted expert acts; otherwise a policy server does.
        answer_seconds: the longest wait for one answer of the policy server.
        steps_ahead: how many planned actions to ask the server for at once.
        trace_chunk_pairs: the most pairs of chunks in an episode's trace; None writes no trace.
    """

    task: str
    benchmark: dict[str, Any]
    environment: str
    image_size: int | None
    expert: bool
    answer_seconds: float
    steps_ahead: int = 1
    trace_chunk_pairs: int | None = None


@dataclass(frozen=True)
class Assignment:
    """One episode: what to play, where to write it, and who acts.

    Attributes:
        job: the fields of an `EpisodeJob`.
        path: the result's JSON; the video stands beside it.
        address: host and port of the policy server, None for the expert.
        provenance: what the parent knows of the result's origin.
        key: the API key of a server that wants one.
    """

    job: dict[str, Any]
    path: str
    address: tuple[str, int] | None
    provenance: dict[str, Any]
    key: str | None = None


def main() -> int:
    """Run until the input ends; exit code 1 after a fault that was reported."""
    parser = argparse.ArgumentParser(prog="python -m hearth.evaluation.worker", description=__doc__)
    parser.add_argument("--events", type=int, required=True, help="file descriptor for events")
    parser.add_argument("--parent", type=int, required=True, help="end with this process")
    options = parser.parse_args()
    end_with_parent(options.parent)
    faulthandler.enable(all_threads=False)
    with os.fdopen(options.events, "w", buffering=1) as stream:
        events = Events(stream)
        try:
            Worker(events).run(_lines())
        except HearthError as error:
            traceback.print_exc()
            events.send("failed", reason=str(error), cause=_cause(error))
            return 1
        except Exception as error:
            traceback.print_exc()
            events.send("failed", reason=f"{type(error).__name__}: {error}", cause="unknown")
            return 1
    return 0


def _cause(error: HearthError) -> str:
    """What the parent needs to know: a lost server is replaced, a full disk ends the evaluation."""
    if isinstance(error, ServerLostError):
        return "server"
    return "storage" if isinstance(error, StorageError) else "known"


def _lines() -> Iterator[dict[str, Any]]:
    for line in sys.stdin:
        yield json.loads(line)


class Events:
    """Lines of JSON to the parent; steps are thinned out, they only show that we are alive."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._last_step = 0.0

    def send(self, event: str, **fields: Any) -> None:
        """Send one event."""
        self._stream.write(json.dumps({"event": event, **fields}) + "\n")

    def step(self, steps: int) -> None:
        """Report that a control step was made."""
        now = time.monotonic()
        if now - self._last_step >= _HEARTBEAT_SECONDS:
            self._last_step = now
            self.send("step", steps=steps)


class Worker:
    """One environment, reused across the episodes of its task."""

    def __init__(self, events: Events) -> None:
        self.events = events

    def run(self, lines: Iterator[dict[str, Any]]) -> None:
        """Set up from the first line, then play an episode per line."""
        self.setup = Setup(**next(lines))
        self.benchmark = Benchmark.model_validate(self.setup.benchmark)
        factory = load_factory(self.setup.environment)
        environment = factory(self.setup.task, self.benchmark, self.setup.image_size)
        self.events.send("ready")
        try:
            for line in lines:
                self.play(environment, Assignment(**line))
        finally:
            environment.close()

    def play(self, environment: Any, assignment: Assignment) -> None:
        """Play one episode and write its result."""
        job = EpisodeJob(**assignment.job)
        path = Path(assignment.path)
        started = _now()
        provenance = {
            **assignment.provenance,
            **_origin(self.setup.benchmark),
            "start_time": started,
        }
        if self.setup.expert:
            actor: Actor = ExpertActor(job.task)
            result = self._run(environment, actor, job, path)
        else:
            assert assignment.address is not None
            host, port = assignment.address
            with PolicyClient(
                host, port, self.setup.answer_seconds, self.setup.answer_seconds, assignment.key
            ) as client:
                provenance["device"] = client.metadata.get("device")
                provenance["batch_sizes"] = client.metadata.get("batch_sizes")
                result = self._run_served(environment, client, job, path)
        provenance["end_time"] = _now()
        identity.publish(path, {**result, "provenance": provenance})
        self.events.send("finished", status=result["status"], q=result["q_score"]["final"])

    def _run_served(
        self, environment: Any, client: PolicyClient, job: EpisodeJob, path: Path
    ) -> dict[str, Any]:
        """Play with the policy server, and write what it tells of its predictions."""
        pairs, steps_ahead = self.setup.trace_chunk_pairs, self.setup.steps_ahead
        if pairs is None:
            return self._run(environment, ServerActor(client, steps_ahead), job, path)
        recorder = TraceRecorder(pairs)
        result = self._run(environment, ServerActor(client, steps_ahead, recorder.add), job, path)
        trace = recorder.trace(job, self.benchmark, result["steps"])
        if trace is not None:
            write_trace(trace_path(path), trace)
        return result

    def _run(self, environment: Any, actor: Actor, job: EpisodeJob, path: Path) -> dict[str, Any]:
        video = path.with_suffix(".mp4")
        # What an earlier attempt left must not stand beside the new result, and an attempt that
        # was killed leaves its temporary files.
        for stale in (video, trace_path(path), *path.parent.glob(f".{path.stem}.*.tmp")):
            stale.unlink(missing_ok=True)
        return run_episode(environment, actor, job, video, self.events.step)


def _origin(benchmark: dict[str, Any]) -> dict[str, Any]:
    """Simulator and host of this process; the device is the policy's, None for the expert."""
    return {
        "simulator": benchmark["simulator"],
        "simulator_version": f"mujoco {importlib.metadata.version('mujoco')}",
        "host": platform.node(),
        "device": None,
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def as_line(value: Setup | Assignment) -> str:
    """One line of JSON for a worker's standard input."""
    return json.dumps(asdict(value)) + "\n"


if __name__ == "__main__":
    sys.exit(main())
