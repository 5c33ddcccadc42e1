"""The loop that keeps jobs running until a unit of work is done.

What is done is told by the files alone, what runs by the queue alone: the launcher remembers
nothing that it could not find again, so it may be killed at any moment. Ctrl-C cancels the jobs;
any other end of the launcher leaves them running, to be adopted by the next one.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hearth.core.errors import LaunchError
from hearth.core.launching import JobResources, LauncherSettings
from hearth.core.locks import alone
from hearth.core.results import Results
from hearth.core.settings import Settings
from hearth.launch.executors import Executor, Slurm, clean, log_of, outcome_of, work_of
from hearth.launch.queue import Queue, QueuedJob, command
from hearth.launch.shared_server import SharedServer, server_place
from hearth.launch.units import EvaluationUnit, TrainingUnit, Unit

_LOG_LINES = 20


def launch(unit: EvaluationUnit | TrainingUnit, settings: Settings) -> None:
    """Submit what is missing of `unit`, wait for it, and return when it is done.

    Raises:
        LaunchError: jobs are refused, or end without progress again and again.
    """
    wanted = settings.launcher
    if wanted.executor == "none":
        raise LaunchError("launcher.executor 'none' runs in place; to launch choose local or slurm")
    if wanted.executor == "slurm":
        command(["sbatch", "--version"])  # later, no answer is waited for
    executor = _executor(settings, unit.name, unit.folder, unit.resources)
    server = None
    if isinstance(unit, EvaluationUnit) and (job := unit.server) is not None:
        name, folder = server_place(settings, job)
        place = _executor(settings, name, folder, wanted.shared_server.job)
        server = SharedServer(job, folder, place, wanted.attempts)
    Launcher(unit, executor, wanted, server).run()


def _executor(settings: Settings, name: str, folder: Path, resources: JobResources) -> Executor:
    """Where jobs of this name run."""
    if settings.launcher.executor == "local":
        from hearth.launch.local import Local

        return Local(folder, resources)
    queue = Queue(Results.of(settings).queue, settings.launcher.poll_seconds)
    return Slurm(name, folder, resources, queue)


class Launcher:
    """One unit of work, the jobs that do it, and the policy server that they may share."""

    def __init__(
        self,
        unit: Unit,
        executor: Executor,
        settings: LauncherSettings,
        server: SharedServer | None = None,
    ) -> None:
        self.unit, self.executor, self.settings = unit, executor, settings
        self.server = server
        self.folder = unit.folder.absolute()
        self.known: dict[str, Any] = {}  # work of the jobs that were active at the last look
        self.ended: list[str] = []  # jobs that came to an end, the last one last
        self.hopeless = ""  # why the last job that could never run waited
        self.reported = ""

    def run(self) -> None:
        """Work until nothing is missing. Ctrl-C cancels the jobs."""
        with self._only_one(), contextlib.nullcontext() if self.server is None else self.server:
            try:
                self._work()
            except KeyboardInterrupt:
                self._cancel("interrupted: cancelling the jobs")
                self._leave_server()
                raise
            except LaunchError:
                self._cancel("giving up: cancelling the jobs that are left")
                self._leave_server()
                raise
            self._cancel("")
            self._leave_server()
            clean(self.folder)

    def _work(self) -> None:
        fruitless, achieved = -1, self.unit.progress()
        trimmed = False
        while True:
            # Files after the queue: what an ended job achieved is there when the queue lacks it.
            jobs = self._look()
            remaining = self.unit.remaining()
            if not remaining:
                return
            if jobs is not None:
                covered, leftovers = self._sort(jobs, set(remaining))
                self._cancel_jobs([job.id for job in leftovers])
                uncovered = [piece for piece in remaining if piece not in covered]
                self._report(remaining, jobs)
                # Jobs that are being cancelled still hold their claims.
                if uncovered and not leftovers:
                    now = self.unit.progress()
                    fruitless = fruitless + 1 if now == achieved else 0
                    achieved = now
                    if fruitless >= self.settings.attempts:
                        raise LaunchError(self._explain())
                    self._submit(uncovered, len(jobs))
                    self._keep_server()
                    continue
                # Shards that wait in the queue need no server yet; it would only idle.
                if any(job.state == "RUNNING" for job in jobs):
                    self._keep_server()
            if not trimmed:
                trimmed = _return_memory()
            time.sleep(self.settings.poll_seconds)

    def _keep_server(self) -> None:
        """See that the jobs have their shared server."""
        if self.server is not None and (said := self.server.ensure()):
            self._say(said)

    def _leave_server(self) -> None:
        if self.server is not None and (said := self.server.leave()):
            self._say(said)

    def _look(self) -> list[QueuedJob] | None:
        """The active jobs, after noting which have ended; None without an answer."""
        jobs = self._active()
        if jobs is None:
            return None
        active = {job.id for job in jobs}
        for id in [id for id in self.known if id not in active]:
            self._note_end(id, self.known.pop(id))
        for job in jobs:
            if job.id not in self.known:
                self.known[job.id] = work_of(self.folder, job.id)
        return jobs

    def _active(self) -> list[QueuedJob] | None:
        """The active jobs; None while the cluster does not answer."""
        try:
            return self.executor.active()
        except LaunchError as error:
            self._say(f"no word from the cluster: {error}")
            return None

    def _note_end(self, id: str, work: Any) -> None:
        """A job is gone: an error that would come again ends the launcher."""
        self.ended.append(id)
        outcome = outcome_of(self.folder, id)
        if outcome is None or outcome[0] != "success":
            return
        if outcome[1].get("final"):
            raise LaunchError(f"{self.unit.title}, job {id}: {outcome[1]['error']}")
        if "error" not in outcome[1]:
            self.unit.succeeded(work)

    def _sort(
        self, jobs: Sequence[QueuedJob], remaining: set[Any]
    ) -> tuple[set[Any], list[QueuedJob]]:
        """What the jobs will do of what remains, and the jobs that are of no use.

        A job without a record comes from a launcher that was killed while it submitted. Running
        jobs whose work was done elsewhere end by themselves.
        """
        covered: set[Any] = set()
        leftovers = []
        for job in jobs:
            work = self.known[job.id]
            pieces = self.unit.covers(work) if work is not None else set()
            useless = not pieces or (job.state == "PENDING" and not pieces & remaining)
            if useless or job.hopeless:
                if job.hopeless:
                    self._say(f"job {job.id} cannot run: {job.reason}")
                    self.hopeless = f"; job {job.id} could not run: {job.reason}"
                leftovers.append(job)
            else:
                covered |= pieces
        return covered, leftovers

    def _submit(self, pieces: Sequence[Any], active: int) -> None:
        works, nice = self.unit.works(pieces, max(1, self.settings.shards - active))
        time.sleep(nice * self.settings.nice_seconds)
        self._say(f"submitting {len(works)} jobs for {len(pieces)} of what is missing")
        self.folder.mkdir(parents=True, exist_ok=True)
        clean(self.folder, kept=list(self.known))
        # Also of jobs that end before the next look.
        self.known.update(zip(self.executor.submit(works, nice), works, strict=True))

    def _cancel(self, reason: str) -> None:
        """Cancel all jobs of the unit; without a reason only those that have not begun."""
        jobs = self._active() or []
        # The others are done with everything and end by themselves.
        ids = [job.id for job in jobs if reason or job.state == "PENDING"]
        if ids and reason:
            self._say(f"{reason}: {', '.join(ids)}")
        self._cancel_jobs(ids)

    def _cancel_jobs(self, ids: Sequence[str]) -> None:
        """Not being able to is said, not raised."""
        try:
            self.executor.cancel(ids)
        except LaunchError as error:
            self._say(f"could not cancel {', '.join(ids)}: {error}")

    def _explain(self) -> str:
        """Why it gives up: how the last job ended, and the end of its log."""
        text = f"{self.unit.title}: {self.settings.attempts} jobs in a row ended without progress"
        text += self.hopeless
        if not self.ended:
            return text
        id = self.ended[-1]
        outcome = outcome_of(self.folder, id)
        if outcome is not None and outcome[0] == "success" and "error" in outcome[1]:
            return f"{text}; the last, {id}: {outcome[1]['error']}"
        log = log_of(self.folder, id)
        lines = log.read_text(errors="replace").splitlines() if log.is_file() else []
        tail = "\n".join(lines[-_LOG_LINES:])
        return f"{text}; the last: {self.executor.explain([id]) or id}; the end of {log}:\n{tail}"

    def _report(self, remaining: Sequence[Any], jobs: Sequence[QueuedJob]) -> None:
        running = sum(job.state == "RUNNING" for job in jobs)
        text = f"{len(remaining)} to do, {running} jobs run, {len(jobs) - running} wait"
        if text != self.reported:
            self.reported = text
            self._say(text)

    def _say(self, text: str) -> None:
        print(f"{self.unit.title}: {text}", file=sys.stderr, flush=True)

    @contextlib.contextmanager
    def _only_one(self) -> Iterator[None]:
        """One launcher per unit; a second one waits."""
        with alone(self.folder / "launcher.lock", "at it", self._say):
            yield


def _return_memory() -> bool:
    """Give back what starting took and waiting does not need; glibc would keep it. Always True."""
    import ctypes

    with contextlib.suppress(AttributeError, OSError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)
    return True
