"""Official evaluators at work on one task: who plays what, and what happens when one dies."""

from __future__ import annotations

import math
import platform
import shutil
import time
from pathlib import Path
from typing import Any

from hearth.core.errors import DataError, EvaluationError, SettingsError
from hearth.core.evaluator import EvaluatorSettings
from hearth.evaluation import official
from hearth.evaluation.official_evaluator import facts as evaluator_facts
from hearth.evaluation.official_evaluator.files import EvaluatorFiles
from hearth.evaluation.official_evaluator.installation import inspect
from hearth.evaluation.official_evaluator.process import read_activity
from hearth.evaluation.official_evaluator.relay import Relay
from hearth.evaluation.official_evaluator.runs import Run, Starter, now
from hearth.evaluation.official_evaluator.traces import PredictionFolder
from hearth.evaluation.pending import Episode, PendingEpisodes
from hearth.evaluation.processes import PolicyServer, describe_exit
from hearth.evaluation.servers import SharedServerFile, SharedServers
from hearth.policy.compression import executed_steps
from hearth.serving.client import PolicyClient

_TICK_SECONDS = 0.25
_FILM_SECONDS = 60.0  # from a result until its film is no longer waited for
_GIGABYTE = 2**30


class EvaluatorScheduler:
    """The evaluators of one `evaluate_task` and the policy server that they share, a port each.

    One thread: children end with the thread that started them (see core.lifetime).

    Args:
        pending: the episodes.
        server: command of the policy server without its ports.
        part: begins the names of the logs.
        shared: the server that another job runs, in place of `server`; then a relay has the ports.

    Raises:
        SettingsError: there is no section 'evaluator'.
        EvaluationError: the user's OmniGibson does not fit, or cannot play what is wanted.
    """

    def __init__(
        self,
        pending: PendingEpisodes,
        server: tuple[str, ...],
        part: str = "",
        shared: SharedServerFile | None = None,
    ) -> None:
        self.pending, self.server_command = pending, server
        self.wanted, self.benchmark = pending.wanted, pending.benchmark
        self.evaluator = _section(pending)
        self.facts = evaluator_facts.load(self.benchmark)
        evaluator_facts.check(self.facts, self.evaluator, self.wanted.split, self.wanted.rollouts)
        self.files = EvaluatorFiles(pending, self.facts, self._numbers())
        self.installation = inspect(self.facts, self.evaluator, self.wanted.start_timeout_seconds)
        self.starter = Starter(pending, self.evaluator, self.facts, self.installation, part)
        self.logs = pending.results.evaluation(pending.evaluation) / "logs"
        self.log_name = f"{pending.task}_{part}"
        self.predictions = PredictionFolder() if self.wanted.trace else None
        self.server: PolicyServer | None = None
        self.shared_file, self.shared = shared, None
        if shared is not None:
            self.shared = SharedServers(shared, pending.hashes["policy_hash"])
        self.metadata: dict[str, Any] = {}  # of the server
        self.runs: list[Run] = []
        self.failed_starts = 0  # in a row

    def _numbers(self) -> official.InstanceNumbers:
        path = self.evaluator.instances
        return official.InstanceNumbers(self.benchmark, Path(path).expanduser() if path else None)

    def play(self) -> None:
        """Play all pending episodes."""
        for log in self.logs.glob(f"{self.log_name}*.log"):
            log.unlink(missing_ok=True)
        try:
            while self.pending or self.runs:
                self._start()
                time.sleep(_TICK_SECONDS)
                self._look()
        finally:
            for run in self.runs:
                run.process.process.terminate()  # all at once, before each is waited for
            for run in self.runs:
                run.process.close()
                shutil.rmtree(run.folder, ignore_errors=True)
            if self.server is not None:
                self.server.stop()
            if self.predictions is not None:
                self.predictions.close()

    def _start(self) -> None:
        """Bring server and evaluators up to what is needed."""
        taken = {run.slot for run in self.runs}
        free = [slot for slot in range(self.wanted.workers) if slot not in taken]
        for count, slot in zip(range(len(free), 0, -1), free, strict=True):
            if not self.pending:
                return
            if self.shared is not None and self.shared.current() is None:
                return  # a scene is loaded for minutes, so only for a server that is there
            self.server = self.server or self._start_server()
            episodes = self._take(math.ceil(len(self.pending) / count))
            if episodes:
                run = self.starter.start(slot, self.server, episodes)
                said = self.metadata if self.shared is None else self.shared.metadata
                run.origin = {name: said.get(name) for name in ("device", "batch_sizes")}
                self.runs.append(run)

    def _start_server(self) -> PolicyServer:
        written = [] if self.predictions is None else self.predictions.next_server()
        if self.shared_file is not None:
            return PolicyServer(
                [*self._relay(self.shared_file).command(), *written],
                self.logs / f"{self.log_name}server.log",
                self.wanted.start_timeout_seconds, ports=self.wanted.workers,
            )  # fmt: skip
        environment = {}
        if self.evaluator.policy_gpu is not None:
            environment["CUDA_VISIBLE_DEVICES"] = str(self.evaluator.policy_gpu)
        limit = self.wanted.start_timeout_seconds
        server = PolicyServer(
            # A port tells an evaluator that lost its connection from a new one.
            [*self.server_command, "--one-evaluator-per-port", *written],
            self.logs / f"{self.log_name}server.log", limit,
            ports=self.wanted.workers, environment=environment,
        )  # fmt: skip
        with PolicyClient(*server.address, limit, limit) as client:
            self.metadata = client.metadata
        return server

    def _relay(self, shared: SharedServerFile) -> Relay:
        runtime = self.pending.settings.runtime_for(self.pending.evaluation)
        return Relay(
            record=Path(shared.path).absolute(),
            policy_hash=self.pending.hashes["policy_hash"],
            task_index=self.benchmark.task(self.pending.task).index,
            steps_ahead=executed_steps(runtime.actions_to_execute, runtime.compression),
            # Shorter than the watchdog, which does not know who hangs.
            answer_seconds=0.8 * self.wanted.step_timeout_seconds,
        )

    def _take(self, most: int) -> list[Episode]:
        """Episodes for one process: whole instances, as many as it may have."""
        rollouts = self.wanted.rollouts
        instances = 1 if self.installation.batch else self.evaluator.instances_per_process
        episodes: list[Episode] = []
        while len(episodes) < min(most, instances * rollouts):
            episode = self.pending.take()
            if episode is None:
                break
            episodes.append(episode)
        chosen = list(dict.fromkeys(episode.key[0] for episode in episodes))[:instances]
        self.pending.give_back([e for e in episodes if e.key[0] not in chosen])
        kept = [episode for episode in episodes if episode.key[0] in chosen]
        return sorted(kept, key=lambda e: (chosen.index(e.key[0]), e.key[1]))

    def _look(self) -> None:
        """Keep what was written, and end what died, hangs or takes too much."""
        if self.server is None:
            return
        code = self.server.process.poll()
        if code is not None:
            self._lose_server(f"lost its policy server, which {describe_exit(code)}")
            return
        activity = read_activity(self.server.address) or {}
        for run in list(self.runs):
            run.note(activity.get(run.port, run.seen))
            code = run.process.process.poll()
            self._keep(run, ended=code is not None)
            if code is not None:
                self._end(run, f"the evaluator {describe_exit(code)} without {self._next(run)}")
            else:
                self._watch(run)
            if self.server is None:
                return

    def _next(self, run: Run) -> str:
        """The result that is waited for, and what is wrong with what stands there."""
        if not run.episodes:
            return "a result"
        fault = run.faults.get(run.episodes[0].key)
        return f"a result of {self.files.stem(run.episodes[0])}" + (f": {fault}" if fault else "")

    def _keep(self, run: Run, ended: bool) -> None:
        """Keep the results that are there, with their films."""
        for episode in list(run.episodes):
            try:
                written = self.files.read(run.folder, episode)
            except official.TruncatedError as error:
                run.faults[episode.key] = f"{self.files.stem(episode)}.json {error}"
                if ended:
                    self.files.set_aside(run.folder, episode)
                continue
            except DataError as error:
                self._refuse(run, episode, error)
                continue
            if written is None:
                continue
            if self.wanted.video and not ended and not self.files.has_film(written):
                since = run.films.setdefault(episode.key, time.monotonic())
                if time.monotonic() - since < _FILM_SECONDS:
                    continue
            origin = {
                "simulator": self.benchmark.simulator,
                "simulator_version": f"omnigibson {self.installation.version}",
                "host": platform.node(),
                **run.origin,
                "start_time": run.since,
                "end_time": now(),
            }
            note = self.files.keep(episode, written, origin, self._predictions(run, episode))
            self.pending.finished(episode, note)
            run.done(episode)

    def _refuse(self, run: Run, episode: Episode, fault: DataError) -> None:
        """A whole result is of no use: its episode failed, while the evaluator plays the next."""
        self.files.set_aside(run.folder, episode)
        run.done(episode)
        reason = f"{self.files.stem(episode)}.json {fault}"
        self.pending.failed(episode, reason, run.process.log_tail(), next_in_turn=False)

    def _predictions(self, run: Run, episode: Episode) -> list[dict[str, Any]]:
        """What the policy predicted in an episode of `run`."""
        if self.predictions is None:
            return []
        place = run.order.index(episode.key)
        return self.predictions.episode(run.port, run.before.resets, place)

    def _watch(self, run: Run) -> None:
        limit = self.evaluator.memory_gigabytes
        if limit is not None:
            used = run.process.memory_bytes() / _GIGABYTE
            if used > limit:
                self._end(run, f"used {used:.2f} GB, evaluator.memory_gigabytes is {limit:g}")
                return
        wanted = self.wanted
        seconds = wanted.step_timeout_seconds if run.began else wanted.start_timeout_seconds
        if time.monotonic() - run.last_sign <= seconds:
            return
        if run.began and run.seen.waiting:
            self._lose_server(f"its policy server gave no answer for {seconds:g} s")
            return
        what = "in an episode" if run.began else "before an episode"
        self._end(run, f"no sign of life for {seconds:g} s {what}; the watchdog ended it")

    def _lose_server(self, reason: str) -> None:
        """End the server and all its evaluators; those that still load lose no attempt."""
        for run in list(self.runs):
            self._end(run, reason, server_lost=True)
        if self.server is not None:
            self.server.stop()
        self.server = None

    def _end(self, run: Run, reason: str, server_lost: bool = False) -> None:
        """Remove an evaluator, and decide what becomes of its episodes.

        The fault is of the first episode without a result, also where it could not be loaded. It is
        played again after all others, so that they need not wait for it.
        """
        run.process.close()
        if self.shared is not None and self.server is not None:
            # Why it ended is known to the relay, which may have learnt it since the last look.
            run.note((read_activity(self.server.address) or {}).get(run.port, run.seen))
        self._keep(run, ended=True)
        log = run.process.log_tail()
        self.runs.remove(run)
        shutil.rmtree(run.folder, ignore_errors=True)
        if not run.episodes:
            return  # simulators often crash when they end: the results are there
        # A scene that still loads has nothing to do with the server.
        hit = [] if server_lost and not run.connected else run.episodes[:1]
        self.pending.give_back(run.episodes[len(hit) :])
        cut_off = self.shared is not None and (server_lost or run.lost)
        for episode in hit:
            if cut_off:
                self.pending.cut_off(episode, f"the shared policy server was lost; {reason}", log)
            else:
                self.pending.failed(episode, reason, log, next_in_turn=False)
        self.failed_starts = 0 if run.useful or cut_off else self.failed_starts + 1
        if self.failed_starts >= self.wanted.attempts and self.pending:
            tail = "\n".join(log)
            raise EvaluationError(
                f"the evaluator failed to start {self.failed_starts} times, last: {reason}; the "
                f"end of {run.process.log}:\n{tail}"
            )


def _section(pending: PendingEpisodes) -> EvaluatorSettings:
    evaluator = pending.settings.evaluator
    if evaluator is None:
        raise SettingsError(
            f"benchmark '{pending.benchmark.name}' is played by its official evaluator: say in the "
            "section 'evaluator' how to start it (docs/omnigibson.md), at least evaluator.python"
        )
    return evaluator
