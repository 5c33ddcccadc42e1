"""The job that serves one policy to the shards of many evaluation jobs."""

from __future__ import annotations

import os
import secrets
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hearth.core.addresses import own_address
from hearth.core.errors import ServingError
from hearth.core.files import hash_json, write_private_json
from hearth.core.results import Results
from hearth.core.temporary import TemporaryFolder
from hearth.launch.work import in_job, keep_compiled

if TYPE_CHECKING:
    from hearth.core.settings import Settings
    from hearth.evaluation.processes import PolicyServer
    from hearth.serving.record import ServerRecord

_KEY_BYTES = 32
_LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class ServerJob:
    """A policy server that ends by itself when nobody asks it any more.

    Attributes:
        config: the frozen settings.
        evaluation, run: whose runtime and bundle it serves.
        batch_size: rows of every prediction.
        policy_hash: of the bundle that the launcher saw.
        key: names the server among those of the experiment.
        record: the file that tells its clients where it is.
        served: marker: it has been ready.
        log: the server's own output.
        loopback: listen for this machine alone; otherwise on the node's address.
        start_seconds: within which it must be ready.
        idle_seconds: without a request until it ends.
        answer_seconds: a request that waits longer without any answered in between means a hang.
        command: of another server than the bundle's own; tests put stand-ins here.
    """

    config: str
    evaluation: str
    run: str
    batch_size: int
    policy_hash: str
    key: str
    record: str
    served: str
    log: str
    loopback: bool
    start_seconds: float
    idle_seconds: float
    answer_seconds: float
    command: tuple[str, ...] | None = None

    def __call__(self) -> dict[str, Any]:
        """Serve until nobody asks, the server ends, or SIGTERM."""
        # Without Slurm the simulators may use the same GPU.
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        # At its time limit it just ends: the launcher submits the next one if shards need it.
        return in_job(self._serve, requeue=False)

    def _serve(self) -> None:
        from hearth.core.settings import load_settings
        from hearth.evaluation.processes import PolicyServer
        from hearth.evaluation.run import shared_server_command

        settings = load_settings(Path(self.config))
        keep_compiled(settings)
        command = self.command or shared_server_command(
            settings, self.evaluation, self.run, self.batch_size
        )
        host = "127.0.0.1" if self.loopback else own_address()
        key = secrets.token_urlsafe(_KEY_BYTES)
        with TemporaryFolder("keys") as folder:
            keys = folder.path / "keys.yaml"
            write_private_json(keys, {"shared": key})  # JSON is YAML too
            words = [*command, "--host", host, "--key-file", str(keys)]
            server = PolicyServer(words, Path(self.log), self.start_seconds)
        try:
            self._tell_clients(server, key)
        finally:
            server.stop()

    def _tell_clients(self, server: PolicyServer, key: str) -> None:
        """Write the record, and remove it when the server ends."""
        from hearth.serving.client import PolicyClient
        from hearth.serving.record import ServerRecord, remove_record, write_record

        with PolicyClient(*server.address, self.answer_seconds, self.answer_seconds, key) as client:
            served = client.metadata.get("policy_hash")
        if served != self.policy_hash:
            raise ServingError(
                f"the bundle of run '{self.run}' is {served} by now, not {self.policy_hash}"
            )
        job = os.environ.get("SLURM_JOB_ID", str(os.getpid()))
        place = f"{job} on {socket.gethostname()}"
        record = ServerRecord(*server.address, key, self.policy_hash, place)
        try:
            write_record(Path(self.record), record)
            Path(self.served).touch()
            self._watch(server, record)
        finally:
            remove_record(Path(self.record), record)

    def _watch(self, server: PolicyServer, record: ServerRecord) -> None:
        """Return when nobody has asked for a while.

        Raises:
            ServingError: the server ended or hangs.
        """
        from hearth.evaluation.official_evaluator.process import Activity, read_activity
        from hearth.evaluation.processes import describe_exit

        seen: dict[int, Activity] | None = {}
        changed = time.monotonic()
        while True:
            time.sleep(min(_LOOK_SECONDS, self.idle_seconds / 4))
            code = server.process.poll()
            if code is not None:
                raise ServingError(f"the shared policy server {describe_exit(code)}: {self.log}")
            activity = read_activity(record.address)
            if activity is not None and activity != seen:
                seen, changed = activity, time.monotonic()
            quiet = time.monotonic() - changed
            waiting = activity is None or any(one.waiting for one in activity.values())
            if waiting and quiet > self.answer_seconds:
                raise ServingError(f"the shared policy server gave no answer for {quiet:.0f} s")
            if not waiting and quiet > self.idle_seconds:
                print(f"no request for {quiet:.0f} s: the server ends", flush=True)
                return


def server_job(
    settings: Settings,
    config: str,
    evaluation: str,
    run: str,
    hashes: dict[str, str],
    command: tuple[str, ...] | None,
) -> ServerJob:
    """The job whose server plays `run` in `evaluation`, and in every other one that is like it.

    Args:
        config: the frozen settings.
        hashes: of the evaluation; the policy's counts.
        command: of a stand-in.
    """
    wanted = settings.launcher.shared_server
    results = Results.of(settings)
    runtime = settings.runtime_for(evaluation).model_dump(mode="json")
    key = hash_json([hashes["policy_hash"], run, runtime, settings.seed, wanted.batch_size])
    return ServerJob(
        config=config, evaluation=evaluation, run=run, batch_size=wanted.batch_size,
        policy_hash=hashes["policy_hash"], key=key,
        record=str(results.shared_server(key).absolute()),
        served=str((results.jobs("serve", run, key) / "served").absolute()),
        log=str(results.log("servers", key).absolute()),
        loopback=settings.launcher.executor == "local",
        start_seconds=60 * wanted.start_minutes, idle_seconds=60 * wanted.idle_minutes,
        answer_seconds=settings.evaluation(evaluation).step_timeout_seconds, command=command,
    )  # fmt: skip
