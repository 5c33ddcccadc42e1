"""A private Slurm: own configuration, ports, munge key and socket, database and state.

Two virtual nodes on this machine, n1 with H200s and n2 with RTX GPUs (of /dev/null), an accounting,
and the partitions of profiles/slurm. A partition `urgent` preempts `h200` by requeueing. Nothing
outside of one temporary folder is written, and a Slurm that is already there is left alone.
"""

from __future__ import annotations

import contextlib
import getpass
import itertools
import os
import random
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from tests.cluster.leftovers import PREFIX, clear_dead_clusters, own, processes_of

PROGRAMS = ("munged", "mariadbd", "mariadb-install-db", "slurmdbd", "slurmctld", "slurmd", "sbatch")

_CREDENTIAL_SECONDS = 2.0

SLURM_CONF = """\
ClusterName=hearth
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={controller}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
# No control groups and more processors than the machine has.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
SlurmdParameters=config_overrides
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=batch_sched_delay=0,sched_interval=3,bf_interval=5
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=10
MessageTimeout=20
SlurmdTimeout=30
ReturnToService=2
GresTypes=gpu
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={accounting}
# Which munge socket answers the accounting: the option of AuthInfo is not asked.
AccountingStoragePass={folder}/munge.socket
AccountingStorageTRES=gres/gpu
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={node1} CPUs=64 RealMemory=500000 \
Gres=gpu:h200:8
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={node2} CPUs=64 RealMemory=500000 \
Gres=gpu:rtx:8
PartitionName=cpu Nodes=n[1-2] Default=YES MaxTime=1-0 State=UP
PartitionName=h200 Nodes=n1 PriorityTier=1 PreemptMode=REQUEUE MaxTime=2-0 State=UP
PartitionName=rtx Nodes=n2 MaxTime=1-0 State=UP
PartitionName=urgent Nodes=n1 PriorityTier=10 PreemptMode=OFF MaxTime=1-0 State=UP
"""

SLURMDBD_CONF = """\
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={accounting}
SlurmUser={user}
LogFile={folder}/slurmdbd.log
PidFile={folder}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={database}
StorageUser=slurm
StoragePass={password}
StorageLoc=accounting
"""

GRES_CONF = """\
NodeName=n1 Name=gpu Type=h200 File={folder}/gpu[0-7]
NodeName=n2 Name=gpu Type=rtx File={folder}/gpu[0-7]
"""


def missing_programs() -> list[str]:
    """Programs that are not installed."""
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    return [name for name in PROGRAMS if shutil.which(name, path=path) is None]


def wait_for(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Wait until `condition` holds; an AssertionError names what did not happen."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds:g} s"
        time.sleep(0.2)


def _free_ports(count: int) -> list[int]:
    """Ports below those that the system gives to connections, of a range of this test process."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    candidates = list(range(10_000 + 2_000 * (worker % 10), 12_000 + 2_000 * (worker % 10)))
    random.SystemRandom().shuffle(candidates)
    return list(itertools.islice(filter(_is_free, candidates), count))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _die_with_parent() -> None:
    import ctypes

    # Also when the tests are killed by force.
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)


class Slurm:
    """The cluster. `environment` lets commands reach it."""

    def __init__(self) -> None:
        clear_dead_clusters()
        # Paths of sockets are short: not below pytest's own folders.
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        self.owner = own(self.folder)
        names = ("controller", "accounting", "database", "node1", "node2")
        self.values = {
            **dict(zip(names, _free_ports(len(names)), strict=True)),
            "folder": self.folder,
            "host": socket.gethostname().split(".")[0],
            "user": getpass.getuser(),
            "password": secrets.token_hex(8),
        }
        self.environment = {
            "SLURM_CONF": str(self.folder / "slurm.conf"),
            "PATH": f"{self.folder}/bin:{os.environ['PATH']}:/usr/sbin:/sbin",
        }
        self.daemons: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start everything and wait until both nodes are idle."""
        self.folder.chmod(0o755)  # munge's socket must be reachable
        self._write_configuration()
        munge = {name: str(self.folder / f"munge.{name}") for name in ("key", "socket", "pid")}
        self._daemon(
            "munged", "--foreground", "--force", f"--key-file={munge['key']}",
            f"--socket={munge['socket']}", f"--pid-file={munge['pid']}",
            f"--log-file={self.folder}/munge.log", f"--seed-file={self.folder}/munge.seed",
        )  # fmt: skip
        self._start_database()
        self.start_accounting()
        self._daemon("slurmctld", "-D", "-c")
        for node in ("n1", "n2"):
            self._daemon("slurmd", "-D", "-N", node)
        wait_for(self._idle, 90, "both nodes being idle")
        self.run("sacctmgr", "-i", "add", "account", "research", check=False)
        user = str(self.values["user"])
        self.run("sacctmgr", "-i", "add", "user", user, "account=research", check=False)

    def start_accounting(self) -> None:
        """Start slurmdbd."""
        self._daemon("slurmdbd", "-D")
        wait_for(lambda: self._answers(self.values["accounting"]), 60, "the start of slurmdbd")

    def stop_accounting(self) -> None:
        """End slurmdbd; the controller keeps what it should have been told."""
        daemon = next(item for item in reversed(self.daemons) if "slurmdbd" in str(item.args))
        daemon.terminate()
        daemon.wait(30)

    def stop(self) -> None:
        """End jobs and daemons, the last one first, and remove the folder."""
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            self.run("scancel", "--user", str(self.values["user"]), check=False)
        for number in (signal.SIGTERM, signal.SIGKILL):
            for daemon in reversed(self.daemons):
                if daemon.poll() is None:
                    daemon.send_signal(number)
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        daemon.wait(5)
            for process in self._jobs():
                with contextlib.suppress(psutil.Error):
                    process.send_signal(number)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.owner.close()

    def run(self, *command: str, check: bool = True) -> str:
        """Run a command of Slurm and return its output."""
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=False,
            env={**os.environ, **self.environment},
        )  # fmt: skip
        assert not check or done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def wait_requeued(self, job: str) -> None:
        """Wait until `job` has ended and queues again."""
        state = ("squeue", "-h", "-j", job, "-o", "%T")
        wait_for(lambda: self.run(*state).strip() == "PENDING", 120, f"the requeueing of {job}")

    def hurry(self, job: str) -> None:
        """Let a requeued job begin soon: Slurm would leave it for two minutes.

        It does so for a reason: a node ends a job whose credential is as old as the second in
        which that node ended it before.
        """
        time.sleep(_CREDENTIAL_SECONDS)
        self.run("scontrol", "update", f"JobId={job}", "StartTime=now")

    def logs(self) -> str:
        """The ends of all logs, for a failed start."""
        parts = []
        for path in sorted(self.folder.glob("*.log")):
            lines = path.read_text(errors="replace").splitlines()[-15:]
            parts.append(f"--- {path.name}\n" + "\n".join(lines))
        return "\n".join(parts)

    def _write_configuration(self) -> None:
        for name, text in (
            ("slurm.conf", SLURM_CONF), ("slurmdbd.conf", SLURMDBD_CONF), ("gres.conf", GRES_CONF)
        ):  # fmt: skip
            self._private(name, text.format(**self.values).encode())
        self._private("munge.key", secrets.token_bytes(128))
        for name in ("state", "spool.n1", "spool.n2", "bin"):
            (self.folder / name).mkdir()
        # Inside a job Snakemake drops all of Slurm's variables, the configuration's place too.
        srun = self.folder / "bin" / "srun"
        place = f"SLURM_CONF={self.environment['SLURM_CONF']}"
        srun.write_text(f'#!/bin/sh\n{place} exec {shutil.which("srun")} "$@"\n')
        srun.chmod(0o755)
        for number in range(8):
            path = self.folder / f"gpu{number}"
            try:
                os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
            except PermissionError:
                path.write_bytes(b"")  # not root: a file stands in, only its number matters

    def _private(self, name: str, content: bytes) -> None:
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_bytes(content)

    def _start_database(self) -> None:
        data, user = self.folder / "database", str(self.values["user"])
        self.run(
            "mariadb-install-db", "--no-defaults", f"--datadir={data}", f"--user={user}",
            "--skip-test-db", f"--tmpdir={self.folder}", "--auth-root-authentication-method=normal",
        )  # fmt: skip
        self._private(
            "database.sql",
            "CREATE USER IF NOT EXISTS slurm@'%' IDENTIFIED BY '{password}';\n"
            "GRANT ALL ON accounting.* TO slurm@'%';\n".format(**self.values).encode(),
        )
        self._daemon(
            "mariadbd", "--no-defaults", f"--datadir={data}", f"--user={user}",
            f"--socket={self.folder}/database.socket", "--bind-address=127.0.0.1",
            f"--port={self.values['database']}", f"--init-file={self.folder}/database.sql",
            "--innodb-buffer-pool-size=32M", "--innodb-log-file-size=16M", "--skip-log-bin",
            f"--pid-file={self.folder}/database.pid", "--skip-name-resolve",
            f"--tmpdir={self.folder}",
        )  # fmt: skip
        wait_for(lambda: self._answers(self.values["database"]), 60, "the start of the database")

    def _daemon(self, *command: str) -> None:
        environment = {**os.environ, **self.environment}
        with (self.folder / f"{command[0]}.out.log").open("ab") as log:
            daemon = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
                env=environment, preexec_fn=_die_with_parent,
            )  # fmt: skip
        self.daemons.append(daemon)

    def _answers(self, port: object) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", int(str(port)))):
            return True
        return False

    def _idle(self) -> bool:
        states = self.run("sinfo", "-h", "-N", "-p", "cpu", "-o", "%T", check=False).split()
        return states == ["idle", "idle"]

    def _jobs(self) -> list[psutil.Process]:
        """What this cluster's jobs left running, and Slurm's own processes beside them."""
        found = []
        for process in processes_of(self.folder):
            with contextlib.suppress(psutil.Error):
                if process.name() == "slurmstepd" or "SLURM_JOB_ID" in process.environ():
                    found.append(process)
        return found
