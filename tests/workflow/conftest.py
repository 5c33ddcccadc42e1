"""A complete run of the real workflow in its smallest size, shared by the tests of this folder."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
TASK = "turning_on_radio"

CONFIG = {
    "experiment": "small",
    "benchmark": "household",
    "tasks": [TASK],
    "protect": False,
    "demonstrations": {"episodes_per_task": 3, "image_size": 32},
    "data": {"image_size": 32, "keep_every": 5},
    "model": {"preset": "tiny", "flow_samples": 1},
    "runs": {
        "main": {"steps": 6, "batch_size": 4, "warmup_steps": 2, "checkpoint_every": 3},
        "untrained": {"steps": 0},
    },
    "evaluations": {
        "trained": {"policy": "main", "instances": 1, "image_size": 32, "workers": 1},
        "expert": {"policy": "expert", "instances": 1, "image_size": 32, "workers": 1},
    },
    "report": {"baseline": "expert", "bootstrap_samples": 200},
}


@dataclass
class Workflow:
    """One experiment in a folder of its own."""

    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "config.yaml"

    @property
    def results(self) -> Path:
        return self.folder / "results" / "small"

    def command(self, *arguments: str, overrides: str = "") -> list[str]:
        overrides = f"results={self.folder / 'results'} {overrides}".strip()
        return [
            str(BIN / "snakemake"), "--snakefile", str(ROOT / "Snakefile"),
            "--directory", str(self.folder), "--configfile", str(self.config),
            "--profile", str(ROOT / "profiles/local"), *arguments, "--config", f"set={overrides}",
        ]  # fmt: skip

    def run(self, *arguments: str, overrides: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments, overrides=overrides),
            capture_output=True, text=True, timeout=600, cwd=self.folder, check=False,
        )  # fmt: skip

    def planned(self, *arguments: str, overrides: str = "") -> set[str]:
        """The rules that a dry run would execute, `all` left out."""
        result = self.run(*arguments, "-n", "--quiet", "host", overrides=overrides)
        assert result.returncode == 0, result.stdout + result.stderr
        rules = set()
        for line in (result.stdout + result.stderr).splitlines():
            if line.strip().startswith(("rule ", "localrule ", "checkpoint ")):
                rules.add(line.split()[1].rstrip(":"))
        return rules - {"all"}


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    """The small experiment after a complete run."""
    workflow = Workflow(tmp_path_factory.mktemp("workflow"))
    workflow.config.write_text(yaml.safe_dump(CONFIG))
    result = workflow.run()
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-8000:]
    return workflow
