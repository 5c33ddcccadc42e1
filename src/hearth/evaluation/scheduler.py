"""The processes of one evaluated task: who plays what, and what happens when one dies."""

from __future__ import annotations

import selectors
import time
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hearth.benchmark import Benchmark
from hearth.core import claims
from hearth.core.errors import EvaluationError
from hearth.core.progress import Advance
from hearth.core.results import Results
from hearth.core.sections import EvaluationSettings
from hearth.core.seeds import integer
from hearth.core.settings import Settings
from hearth.core.traces import trace_path
from hearth.evaluation import identity
from hearth.evaluation.episode import EpisodeJob, crashed_result
from hearth.evaluation.processes import PolicyServer, WorkerProcess, describe_exit
from hearth.evaluation.worker import Assignment, Setup
from hearth.policy.compression import executed_steps

_TICK_SECONDS = 0.5
_CLAIMED_SECONDS = 5.0  # between two looks at an episode that another process plays


@dataclass(frozen=True)
class Backends:
    """What plays the two sides; tests put stand-ins here.

    Attributes:
        environment: ``module:function`` of the environment factory.
        server: command of the policy server without its port, None for the scripted expert.
    """

    environment: str
    server: tuple[str, ...] | None


@dataclass
class _Episode:
    """One due episode: how often it was tried, on which server last, and when to look at it."""

    key: identity.Key
    attempts: int = 0
    server: PolicyServer | None = None
    look_at: float = 0.0  # monotonic seconds


class Scheduler:
    """The processes of one `evaluate_task`. One thread: children end with the thread that

    started them (see core.lifetime), and nothing needs a lock.
    """

    def __init__(
        self,
        settings: Settings,
        benchmark: Benchmark,
        evaluation: str,
        task: str,
        backends: Backends,
        hashes: dict[str, str],
        advance: Advance,
        part: str = "",
    ) -> None:
        self.settings, self.benchmark = settings, benchmark
        self.evaluation, self.task = evaluation, task
        self.wanted: EvaluationSettings = settings.evaluation(evaluation)
        self.backends, self.hashes, self.advance = backends, hashes, advance
        self.results = Results.of(settings)
        self.logs = self.results.evaluation(evaluation) / "logs"
        self.log_name = f"{task}_{part}"
        self.workers: list[WorkerProcess] = []
        self.server: PolicyServer | None = None
        self.failed_starts = 0
        self.pending: deque[_Episode] = deque()
        self.counts = {"finished": 0, "crashed": 0}
        self.elsewhere = 0  # episodes that another process finished meanwhile

    def play(self, keys: list[identity.Key]) -> dict[str, int]:
        """Play these episodes; returns how many finished and how many crashed."""
        self.pending.extend(_Episode(key) for key in keys)
        for log in self.logs.glob(f"{self.log_name}*.log"):
            log.unlink(missing_ok=True)
        self.beat = claims.Heartbeat()
        try:
            while self.pending or any(worker.job for worker in self.workers):
                self._start_missing()
                self._assign()
                self._listen()
                self._watch()
        finally:
            for worker in self.workers:
                worker.close()
            if self.server is not None:
                self.server.stop()
            self.beat.close()
        return self.counts

    def _start_missing(self) -> None:
        """Bring workers and server up to what is needed; a dead server is replaced."""
        busy = sum(worker.job is not None for worker in self.workers)
        needed = min(self.wanted.workers, busy + len(self.pending))
        names = {worker.log for worker in self.workers}
        for index in range(self.wanted.workers):
            log = self.logs / f"{self.log_name}worker{index}.log"
            if len(self.workers) < needed and log not in names:
                self.workers.append(WorkerProcess(self._setup(), log))
        if self.server is not None and self.server.process.poll() is not None:
            self.server = None
        if self.backends.server is not None and self.server is None and self.pending:
            # Waits until it is ready; the workers set up their scenes meanwhile.
            log = self.logs / f"{self.log_name}server.log"
            self.server = PolicyServer(self.backends.server, log, self.wanted.start_timeout_seconds)

    def _setup(self) -> Setup:
        expert = self.backends.server is None
        runtime = self.settings.runtime_for(self.evaluation)
        return Setup(
            task=self.task,
            benchmark=self.benchmark.model_dump(mode="json"),
            environment=self.backends.environment,
            image_size=None if expert else self.wanted.image_size,
            expert=expert,
            # Shorter than the watchdog, so that a hanging server is told from a hanging simulator.
            answer_seconds=0.8 * self.wanted.step_timeout_seconds,
            steps_ahead=executed_steps(runtime.actions_to_execute, runtime.compression),
            trace_chunk_pairs=self.wanted.trace_chunk_pairs if self.wanted.trace else None,
        )

    def _assign(self) -> None:
        for worker in self.workers:
            idle = worker.ready and worker.job is None
            if idle and self.pending and (self.server or self.backends.server is None):
                episode = self._next()
                if episode is None:
                    return
                episode.attempts += 1
                episode.server = self.server
                worker.assign(episode, self._assignment(episode))

    def _next(self) -> _Episode | None:
        """The next episode that no other process plays, claimed; None if there is none now."""
        for _ in range(len(self.pending)):
            episode = self.pending.popleft()
            claim = self._claim(episode)
            if time.monotonic() < episode.look_at:
                self.pending.append(episode)
            elif claims.take(claim, succeed_own_job=True) is not None:
                episode.look_at = time.monotonic() + _CLAIMED_SECONDS
                self.pending.append(episode)
            else:
                self.beat.add(claim)
                if not identity.is_finished(self._path(episode), self.hashes):
                    return episode
                self.beat.release(claim)
                self.elsewhere += 1
                self.advance(1, "finished elsewhere")
        return None

    def _path(self, episode: _Episode) -> Path:
        return self.results.episode(self.evaluation, self.task, *episode.key)

    def _claim(self, episode: _Episode) -> Path:
        return self.results.claim(self.evaluation, self.task, *episode.key)

    def _assignment(self, episode: _Episode) -> Assignment:
        return Assignment(
            job=asdict(self._job(episode)),
            path=str(self._path(episode)),
            address=self.server.address if self.server else None,
            provenance=self._provenance(episode),
        )

    def _job(self, episode: _Episode) -> EpisodeJob:
        instance, rollout = episode.key
        task = self.benchmark.task(self.task)
        # The first rollout starts exactly as the instance says, further ones a little beside.
        noise = integer(self.settings.seed, "rollout", task.index, instance, rollout)
        return EpisodeJob(
            task=self.task,
            instance_id=instance,
            rollout_id=rollout,
            task_index=task.index,
            time_limit=self.benchmark.time_limit(self.task),
            frames_per_second=self.benchmark.frames_per_second,
            start_noise_seed=noise if rollout else None,
            video_size=self.wanted.video_size if self.wanted.video else None,
        )

    def _provenance(self, episode: _Episode) -> dict[str, Any]:
        run = self.wanted.run_for(self.task)
        bundle = {}
        if run != identity.EXPERT:
            bundle = identity.bundle_provenance(self.settings, run)
        return {
            **self.hashes,
            "statistics_hash": bundle.get("fingerprint", {}).get("statistics_hash"),
            "policy": run,
            "hearth_version": identity.version("hearth"),
            "git_commit": identity.git_commit(),
            "seed": self.settings.seed,
            "attempts": episode.attempts,
        }

    def _listen(self) -> None:
        """Wait for events and handle them."""
        with selectors.DefaultSelector() as selector:
            for worker in self.workers:
                selector.register(worker, selectors.EVENT_READ)
            heard = [key.fileobj for key, _ in selector.select(_TICK_SECONDS)]
        for worker in [worker for worker in self.workers if worker in heard]:
            events, ended = worker.receive()
            for event in events:
                if event["event"] == "ready":
                    worker.ready, self.failed_starts = True, 0
                elif event["event"] == "finished":
                    self.beat.release(self._claim(worker.job))
                    worker.job = None
                    self.counts["finished"] += 1
                    self.advance(1, f"{event['status']}, q {event['q']:.2f}")
                elif event["event"] == "failed":
                    worker.failure = event
            if ended:
                self._ended(worker)

    def _ended(self, worker: WorkerProcess) -> None:
        worker.process.wait()
        failure = worker.failure
        reason = failure["reason"] if failure else describe_exit(worker.process.returncode)
        if failure and failure["cause"] == "server" and worker.job and self.server:
            self._drop_server(worker.job.server)
        if failure and failure["cause"] == "storage":
            # No fault of the simulator: another attempt would fail alike.
            raise EvaluationError(f"an episode's result was lost: {reason}")
        if failure and failure["cause"] == "known" and not worker.ready:
            raise EvaluationError(f"the simulator cannot be started: {reason}")
        self._give_up(worker, reason)

    def _drop_server(self, server: PolicyServer | None) -> None:
        """End the server that an episode failed on, unless it has been replaced already."""
        if server is not None and server is self.server:
            server.kill()
            self.server = None

    def _watch(self) -> None:
        for worker in list(self.workers):
            wanted = self.wanted
            limit = wanted.step_timeout_seconds if worker.ready else wanted.start_timeout_seconds
            waiting = worker.job is not None or not worker.ready
            if waiting and worker.silent_seconds() > limit:
                self._give_up(worker, f"no sign of life for {limit:g} s; the watchdog ended it")

    def _give_up(self, worker: WorkerProcess, reason: str) -> None:
        """Remove a worker that died or hangs, and decide what becomes of its episode."""
        log, episode = worker.log_tail(), worker.job
        self.workers.remove(worker)
        worker.close()
        if episode is not None:
            self._retry(episode, reason, log)
        elif not worker.ready:
            self.failed_starts += 1
            if self.failed_starts >= self.wanted.attempts:
                tail = "\n".join(log)
                raise EvaluationError(
                    f"the simulator failed to start {self.failed_starts} times, last it {reason}; "
                    f"the end of {worker.log}:\n{tail}"
                )

    def _retry(self, episode: _Episode, reason: str, log: list[str]) -> None:
        if episode.attempts < self.wanted.attempts:
            self.beat.release(self._claim(episode))
            self.pending.appendleft(episode)
            return
        path = self._path(episode)
        for stale in (path.with_suffix(".mp4"), trace_path(path)):
            stale.unlink(missing_ok=True)
        result = crashed_result(self._job(episode), reason, log)
        identity.publish(path, {**result, "provenance": self._provenance(episode)})
        self.beat.release(self._claim(episode))
        self.counts["crashed"] += 1
        self.advance(1, f"crashed: {reason}")
