"""Jobs as processes of this machine, on the same terms as those of Slurm."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import psutil

from hearth.core.launching import JobResources
from hearth.launch.executors import SIGNAL_SECONDS, Work
from hearth.launch.queue import QueuedJob

_GRACE_SECONDS = 10.0


class Local:
    """Processes of this machine that outlive the launcher; a job's id is its process id."""

    def __init__(self, folder: Path, resources: JobResources) -> None:
        self.folder, self.resources = folder, resources

    def submit(self, works: Sequence[Work], nice: int) -> list[str]:
        """Start a process for each; they share the machine, and none waits."""
        from submitit import LocalExecutor

        executor = LocalExecutor(self.folder)
        executor.update_parameters(
            timeout_min=self.resources.minutes,
            gpus_per_node=self.resources.gpus,
            stderr_to_stdout=True,
            signal_delay_s=min(SIGNAL_SECONDS, self.resources.minutes * 60 // 4),
        )
        return [executor.submit(work).job_id for work in works]

    def active(self, newer_than: float = 0.0) -> list[QueuedJob]:
        """The processes that still run, by the records of those that were started."""
        records = self.folder.glob("*_submitted.pkl")
        ids = [path.name.removesuffix("_submitted.pkl") for path in records]
        return [QueuedJob(id, "RUNNING", self.folder.name) for id in ids if self._process(id)]

    def _process(self, id: str) -> psutil.Process | None:
        try:
            process = psutil.Process(int(id))
            # The id may have been given to another process since.
            ours = str(self.folder.absolute()) in " ".join(process.cmdline())
            return process if ours and process.status() != psutil.STATUS_ZOMBIE else None
        except (psutil.Error, ValueError):
            return None

    def cancel(self, ids: Sequence[str]) -> None:
        """End the processes and their children: asked first, then made to."""
        found = [process for id in ids if (process := self._process(id)) is not None]
        found += [child for process in found for child in process.children(recursive=True)]
        for number in ("terminate", "kill"):
            for process in found:
                try:
                    getattr(process, number)()
                except psutil.Error:
                    continue
            _, found = psutil.wait_procs(found, timeout=_GRACE_SECONDS)

    def explain(self, ids: Sequence[str]) -> str:
        """Processes leave no word behind."""
        return ""
