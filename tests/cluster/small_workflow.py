"""The smallest experiment on the private Slurm, run by Snakemake through profiles/slurm."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from hearth.benchmark import experiment_benchmark
from hearth.core.settings import Settings, load_settings
from hearth.launch.status import status
from tests.cluster.slurm import Slurm
from tests.workflow.conftest import BIN, ROOT, TASK

STEPS = 40  # of the trainings that tests start beside the workflow's own


@dataclass
class Workflow:
    """The smallest experiment on the cluster.

    Attributes:
        folder: where Snakemake runs.
        slurm: the cluster.
        seen: (stage, name) -> the largest numbers of running and queued jobs that `hearth status`
            would have shown while the whole workflow ran.
        undisturbed: the scores of that run.
    """

    folder: Path
    slurm: Slurm
    seen: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    undisturbed: dict[str, bytes] = field(default_factory=dict)

    @property
    def results(self) -> Path:
        return self.folder / "results" / "small"

    def command(self, *arguments: str, profile: str = str(ROOT / "profiles/slurm")) -> list[str]:
        return [
            str(BIN / "snakemake"), "--snakefile", str(ROOT / "Snakefile"),
            "--directory", str(self.folder), "--configfile", str(self.folder / "config.yaml"),
            "--profile", profile, *arguments,
            # The tests look at the accounting more often than a site would like.
            "--slurm-init-seconds-before-status-checks", "3", "--seconds-between-status-checks",
            "3", "--max-status-checks-per-second", "2", "--latency-wait", "10",
            "--set-threads", "demonstrations=2", "prepare=2", "train=1", "evaluate=1",
            "--config", f"set=results={self.folder / 'results'}",
        ]  # fmt: skip

    def snakemake(self, *arguments: str, **options: str) -> subprocess.CompletedProcess[str]:
        command = self.command(*arguments, **options)
        return subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, timeout=1500, check=False
        )

    def settings(self) -> Settings:
        return load_settings(self.folder / "config.yaml", [f"results={self.folder / 'results'}"])

    def watch(self) -> None:
        """Look at the experiment as `hearth status` does."""
        settings = self.settings()
        for line in status(settings, experiment_benchmark(settings), [TASK]):
            most = self.seen.get((line.stage, line.name), (0, 0))
            self.seen[line.stage, line.name] = (
                max(most[0], line.running), max(most[1], line.queued)
            )  # fmt: skip

    def scores(self) -> dict[str, bytes]:
        """The files that say how well the policies did."""
        names = ("leaderboard.csv", "tasks.csv", "comparisons.csv", "leaderboard.md")
        paths = [self.results / "leaderboard" / name for name in names]
        paths += self.results.glob(f"evaluation/*/{TASK}.json")
        return {str(path): path.read_bytes() for path in paths}

    def hearth(self, *arguments: str) -> list[str]:
        settings = [f"results={self.folder / 'results'}", f"runs.main.steps={STEPS}"]
        settings += ["runs.main.checkpoint_every=10", "runs.main.log_every=1"]
        overrides = [word for setting in settings for word in ("--set", setting)]
        config = str(self.folder / "config.yaml")
        return [str(BIN / "hearth"), *arguments, "--config", config, *overrides]

    def losses(self) -> dict[int, float]:
        lines = (self.results / "runs/main/metrics.jsonl").read_text().splitlines()
        return {line["step"]: line["total"] for line in map(json.loads, lines)}
