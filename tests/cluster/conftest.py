"""One private Slurm for all tests of this folder, and an experiment whose simulator is a stand-in.

The jobs, the queue and the accounting are real; only physics and the network are not.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.slurm import Slurm, missing_programs
from tests.cluster.small_workflow import Workflow
from tests.workflow.conftest import CONFIG

ROOT = Path(__file__).resolve().parents[2]
FAKES = ROOT / "tests" / "unit" / "evaluation"


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    """The cluster, reachable by every command that a test starts."""
    missing = missing_programs()
    assert not missing, f"no {', '.join(missing)}: scripts/setup.sh cluster installs them"
    cluster = Slurm()
    # What one test's jobs compile need not be compiled by those of the next.
    compiled = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path_factory.mktemp("compiled"))}
    before = {name: os.environ.get(name) for name in cluster.environment | compiled}
    os.environ.update(cluster.environment | compiled)
    try:
        try:
            cluster.start()
        except (AssertionError, OSError) as error:
            pytest.fail(f"Slurm did not start: {error}\n{cluster.logs()}", pytrace=False)
        yield cluster
    finally:
        cluster.stop()
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@pytest.fixture(scope="session")
def workflow(tmp_path_factory: pytest.TempPathFactory, slurm: Slurm) -> Workflow:
    """The whole workflow, run once; its tests are of one xdist group."""
    made = Workflow(tmp_path_factory.mktemp("workflow"), slurm)
    (made.folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    log = made.folder / "snakemake.log"
    with log.open("w") as output:
        process = subprocess.Popen(made.command(), cwd=made.folder, stdout=output, stderr=output)
    deadline = time.monotonic() + 1500
    while process.poll() is None and time.monotonic() < deadline:
        made.watch()
        time.sleep(1.0)
    assert process.returncode == 0, log.read_text()[-8000:]
    made.undisturbed = made.scores()
    return made


@dataclass
class Experiment:
    """An evaluated task of the stand-in simulator, launched in processes of their own."""

    folder: Path
    slurm: Slurm
    faults: Path

    def command(self, **values: Any) -> list[str]:
        """The launcher's command; `launcher` holds its settings, the rest is the evaluation's."""
        values.setdefault("launcher", {})
        launcher = {"executor": "slurm", "poll_seconds": 1.0, "shards": 2, **values["launcher"]}
        text = json.dumps({**values, "launcher": launcher})
        script = str(Path(__file__).with_name("launch_fake.py"))
        return [sys.executable, script, str(self.folder / "results"), text]

    def start(self, **values: Any) -> subprocess.Popen[str]:
        """A launcher that runs."""
        return subprocess.Popen(
            self.command(**values), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            cwd=self.folder, start_new_session=True,
        )  # fmt: skip

    def finish(self, process: subprocess.Popen[str] | None = None, **values: Any) -> dict[str, Any]:
        """Wait for a launcher; the merged result, with what it said as `said`."""
        process = process or self.start(**values)
        output, said = process.communicate(timeout=240)
        assert process.returncode == 0, said + self.log()
        return {**json.loads(output), "said": said}

    def log(self) -> str:
        """What the jobs wrote."""
        logs = sorted((self.folder / "results").rglob("*_log.out"))
        return "\n".join(f"--- {log.name}\n{log.read_text()[-3000:]}" for log in logs)

    def results(self) -> list[Path]:
        """The result files of episodes."""
        return sorted((self.folder / "results").glob("fake/evaluation/trained/episodes/*.json"))

    def played(self) -> list[int]:
        """The instances that were started, in order."""
        path = self.faults / "played"
        lines = path.read_text().splitlines() if path.exists() else []
        return [int(line.split()[0]) for line in lines]

    def jobs(self, *states: str) -> list[str]:
        """Ids of the jobs in the queue, of all states or of some."""
        text = self.slurm.run("squeue", "-h", "-r", "-o", "%i %T")
        lines = [line.split() for line in text.splitlines()]
        return [id for id, state in lines if not states or state in states]


@pytest.fixture
def experiment(
    tmp_path: Path, slurm: Slurm, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Experiment]:
    """A fresh experiment; its jobs are cancelled in the end."""
    faults = tmp_path / "faults"
    faults.mkdir()
    monkeypatch.setenv("HEARTH_FAKE", str(faults))
    monkeypatch.setenv("PYTHONPATH", str(FAKES))
    yield Experiment(tmp_path, slurm, faults)
    slurm.run("scancel", "--user", str(slurm.values["user"]), check=False)
