"""One server job that all launchers of an experiment keep running together while they need it.

What runs is told by the queue, what serves by the record that the job writes. The launchers agree
through two locks that end with their process: one is held while a launcher looks and submits, so
that no two submit the same server, the other is shared by all launchers that need it, so that the
last one can cancel the job. Should they all be killed, the job ends when nobody asks it any more.
"""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from hearth.core.errors import DataError, LaunchError
from hearth.core.files import read_json, write_json
from hearth.core.results import Results
from hearth.core.settings import Settings
from hearth.launch.executors import Executor, clean, log_of, outcome_of, work_of
from hearth.launch.names import job_name
from hearth.launch.server_job import ServerJob

_LOG_LINES = 20


def server_place(settings: Settings, job: ServerJob) -> tuple[str, Path]:
    """The name of the server's jobs in the queue, and their folder."""
    name = job_name(settings, "serve", job.run, job.key)
    return name, Results.of(settings).jobs("serve", job.run, job.key)


class SharedServer:
    """A launcher's part in the server job; used as a context for as long as it may need it."""

    def __init__(self, job: ServerJob, folder: Path, executor: Executor, attempts: int) -> None:
        """
        Args:
            job: what to submit.
            folder: of its jobs, with the locks.
            executor: where it runs.
            attempts: jobs in a row that end without having served before the launcher gives up.
        """
        self.job, self.folder, self.executor = job, folder.absolute(), executor
        self.attempts = attempts
        self._failed: list[str] = []  # jobs that ended and had not served
        self._since = time.time()
        self._users: IO[str] | None = None

    def __enter__(self) -> SharedServer:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._users = (self.folder / "launchers.lock").open("w")
        fcntl.flock(self._users, fcntl.LOCK_SH)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._users is not None
        self._users.close()

    def ensure(self) -> str:
        """Submit the server job unless it waits or runs; returns what there is to say.

        Raises:
            LaunchError: the job is refused, cannot work, or ends again and again before it serves.
        """
        with self._alone():
            last = self._last()
            try:
                jobs = self.executor.active(newer_than=last["submitted"])
            except LaunchError:
                return ""  # the launcher itself says that the cluster does not answer
            for job in jobs:
                if job.hopeless:
                    raise LaunchError(f"the shared server, job {job.id}, cannot run: {job.reason}")
            # Without a record a job cannot run: its launcher was killed while it submitted.
            useless = [job.id for job in jobs if not self._is_ours(job.id)]
            with contextlib.suppress(LaunchError):  # they may have ended since
                self.executor.cancel(useless)
            if len(useless) < len(jobs):
                return ""
            self._judge(last)
            return self._submit()

    def leave(self) -> str:
        """Cancel the server job if no other launcher needs it; returns what there is to say."""
        assert self._users is not None, "used as a context"
        try:
            fcntl.flock(self._users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return ""
        with self._alone():
            last = self._last()
            try:
                ids = [job.id for job in self.executor.active(newer_than=last["submitted"])]
                self.executor.cancel(ids)
            except LaunchError as error:
                return f"the shared server was not cancelled, it ends when it is idle: {error}"
            # The next launcher must not take an older answer of the queue for the truth.
            write_json(self._state, {**last, "submitted": time.time()})
            clean(self.folder)
            Path(self.job.record).unlink(missing_ok=True)  # of a server that was killed
        return f"nobody else needs the shared server: cancelled {', '.join(ids)}" if ids else ""

    @property
    def _state(self) -> Path:
        return self.folder / "last.json"

    def _last(self) -> dict[str, Any]:
        """The last job and when it was submitted [Unix seconds]."""
        try:
            return {"job": None, "submitted": 0.0, **read_json(self._state)}
        except (DataError, TypeError):
            return {"job": None, "submitted": 0.0}

    def _is_ours(self, id: str) -> bool:
        work = work_of(self.folder, id)
        return isinstance(work, ServerJob) and work.key == self.job.key

    def _judge(self, last: dict[str, Any]) -> None:
        """The last job is gone: note whether it ever served, and give up after too many."""
        id = last["job"]
        if id is None or last["submitted"] < self._since or id in self._failed:
            return
        outcome = outcome_of(self.folder, id)
        said = outcome[1] if outcome is not None and outcome[0] == "success" else {}
        if said.get("final"):
            raise LaunchError(f"the shared server, job {id}: {said['error']}")
        if Path(self.job.served).exists():
            self._failed.clear()
            return
        self._failed.append(id)
        if len(self._failed) >= self.attempts:
            log = log_of(self.folder, id)
            lines = log.read_text(errors="replace").splitlines() if log.is_file() else []
            tail = said.get("error") or "\n".join(lines[-_LOG_LINES:])
            raise LaunchError(
                f"{self.attempts} jobs of the shared server in a row ended before they served; the "
                f"last, {id}: {self.executor.explain([id])} {tail}"
            )

    def _submit(self) -> str:
        Path(self.job.served).unlink(missing_ok=True)
        clean(self.folder)
        (id,) = self.executor.submit([self.job], 0)
        write_json(self._state, {"job": id, "submitted": time.time()})
        return f"submitted the shared server of run '{self.job.run}': {id}"

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """One launcher at a time looks at the server and acts on what it sees."""
        with (self.folder / "server.lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
