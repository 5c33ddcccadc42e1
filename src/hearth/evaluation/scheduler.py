"""The processes of one evaluated task: who plays what, and what happens when one dies."""

from __future__ import annotations

import selectors
from dataclasses import asdict

from hearth.core.errors import EvaluationError
from hearth.evaluation.backends import Backends
from hearth.evaluation.pending import Episode, PendingEpisodes
from hearth.evaluation.processes import WorkerProcess, describe_exit
from hearth.evaluation.servers import Server, Servers, servers_of
from hearth.evaluation.worker import Assignment, Setup
from hearth.policy.compression import executed_steps

_TICK_SECONDS = 0.5


class Scheduler:
    """The processes of one `evaluate_task`. One thread: children end with the thread that

    started them (see core.lifetime), and nothing needs a lock.
    """

    def __init__(self, pending: PendingEpisodes, backends: Backends, part: str = "") -> None:
        self.pending, self.backends = pending, backends
        self.settings, self.benchmark = pending.settings, pending.benchmark
        self.wanted = pending.wanted
        self.logs = pending.results.evaluation(pending.evaluation) / "logs"
        self.log_name = f"{pending.task}_{part}"
        self.workers: list[WorkerProcess] = []
        self.servers: Servers | None = None
        if backends.server is not None:
            self.servers = servers_of(
                backends.server, backends.shared, self.logs / f"{self.log_name}server.log",
                self.wanted.start_timeout_seconds, pending.hashes["policy_hash"],
            )  # fmt: skip
        self.failed_starts = 0

    def play(self) -> None:
        """Play all pending episodes."""
        for log in self.logs.glob(f"{self.log_name}*.log"):
            log.unlink(missing_ok=True)
        try:
            while self.pending or any(worker.job for worker in self.workers):
                self._start_missing()
                self._assign()
                self._listen()
                self._watch()
        finally:
            for worker in self.workers:
                worker.close()
            if self.servers is not None:
                self.servers.close()

    def _start_missing(self) -> None:
        """Bring workers and a server of their own up to what is needed."""
        busy = sum(worker.job is not None for worker in self.workers)
        needed = min(self.wanted.workers, busy + len(self.pending))
        names = {worker.log for worker in self.workers}
        for index in range(self.wanted.workers):
            log = self.logs / f"{self.log_name}worker{index}.log"
            if len(self.workers) < needed and log not in names:
                self.workers.append(WorkerProcess(self._setup(), log))
        if self.servers is not None and self.pending:
            # The workers set up their scenes meanwhile.
            self.servers.prepare()

    def _setup(self) -> Setup:
        expert = self.backends.server is None
        runtime = self.settings.runtime_for(self.pending.evaluation)
        assert self.backends.environment is not None
        return Setup(
            task=self.pending.task,
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
            if not worker.ready or worker.job is not None or not self.pending:
                continue
            server = None if self.servers is None else self.servers.current()
            if self.servers is not None and server is None:
                return
            episode = self.pending.take()
            if episode is None:
                return
            episode.server = server
            worker.assign(episode, self._assignment(episode, server))

    def _assignment(self, episode: Episode, server: Server | None) -> Assignment:
        return Assignment(
            job=asdict(self.pending.job(episode)),
            path=str(self.pending.path(episode)),
            address=server.address if server else None,
            provenance=self.pending.provenance(episode),
            key=server.key if server else None,
        )

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
                    self.pending.finished(worker.job, f"{event['status']}, q {event['q']:.2f}")
                    worker.job = None
                elif event["event"] == "failed":
                    worker.failure = event
            if ended:
                self._ended(worker)

    def _ended(self, worker: WorkerProcess) -> None:
        worker.process.wait()
        failure = worker.failure
        reason = failure["reason"] if failure else describe_exit(worker.process.returncode)
        server_lost = failure is not None and failure["cause"] == "server"
        if server_lost and worker.job is not None and self.servers is not None:
            self.servers.lost(worker.job.server)
        if failure and failure["cause"] == "storage":
            # No fault of the simulator: another attempt would fail alike.
            raise EvaluationError(f"an episode's result was lost: {reason}")
        if failure and failure["cause"] == "known" and not worker.ready:
            raise EvaluationError(f"the simulator cannot be started: {reason}")
        self._give_up(worker, reason, server_lost)

    def _watch(self) -> None:
        for worker in list(self.workers):
            wanted = self.wanted
            limit = wanted.step_timeout_seconds if worker.ready else wanted.start_timeout_seconds
            waiting = worker.job is not None or not worker.ready
            if waiting and worker.silent_seconds() > limit:
                self._give_up(worker, f"no sign of life for {limit:g} s; the watchdog ended it")

    def _give_up(self, worker: WorkerProcess, reason: str, server_lost: bool = False) -> None:
        """Remove a worker that died or hangs, and decide what becomes of its episode."""
        log, episode = worker.log_tail(), worker.job
        self.workers.remove(worker)
        worker.close()
        if episode is not None and server_lost and self.backends.shared is not None:
            self.pending.cut_off(episode, reason, log)
        elif episode is not None:
            self.pending.failed(episode, reason, log)
        elif not worker.ready:
            self.failed_starts += 1
            if self.failed_starts >= self.wanted.attempts:
                tail = "\n".join(log)
                raise EvaluationError(
                    f"the simulator failed to start {self.failed_starts} times, last it {reason}; "
                    f"the end of {worker.log}:\n{tail}"
                )
