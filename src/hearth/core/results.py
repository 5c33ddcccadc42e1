"""The results tree: where every file of an experiment lives. Nobody else builds these paths."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hearth.core.settings import Settings


@dataclass(frozen=True)
class Results:
    """Paths below ``results/<experiment>/``. Only markers and merged files are workflow outputs:

    what took long (episodes, checkpoints, episode results) is never declared to Snakemake, which
    deletes declared outputs before it runs a rule again.
    """

    root: Path

    @classmethod
    def of(cls, settings: Settings) -> Results:
        return cls(Path(settings.results) / settings.experiment)

    @classmethod
    def of_run(cls, settings: Settings, run: str) -> Results:
        """Whose `statistics` and `tokenizer` a run reads: the experiment's, or its own."""
        results = cls.of(settings)
        return results.variant(settings.first_run(run)) if settings.own_statistics(run) else results

    def variant(self, run: str) -> Results:
        """Where the `statistics` and the `tokenizer` of a run with statistics of its own lie."""
        return Results(self.root / "variants" / run)

    # --- demonstrations ---
    @property
    def dataset(self) -> Path:
        """The LeRobot folder that the experts write."""
        return self.root / "dataset"

    def demonstrations(self, task: str) -> Path:
        """Marker: what the expert of `task` recorded (episodes, lengths, attempts)."""
        return self.root / "demonstrations" / f"{task}.json"

    @property
    def dataset_index(self) -> Path:
        """Marker: the data set's meta files are complete."""
        return self.dataset / "meta" / "info.json"

    # --- data ---
    def episodes(self, task: str) -> Path:
        return self.root / "episodes" / f"{task}.h5"

    def prepared(self, task: str) -> Path:
        """Marker: `episodes(task)` is complete (counts, hash, quarantine)."""
        return self.root / "episodes" / f"{task}.json"

    def quarantine(self, task: str) -> Path:
        """The bad episodes of `task` with their reasons; also written where preparing fails."""
        return self.root / "episodes" / f"{task}.quarantine.json"

    @property
    def statistics(self) -> Path:
        return self.root / "statistics.h5"

    def task_statistics(self, task: str) -> Path:
        """One task's part of the statistics, which a merge with other tasks starts from."""
        return self.root / "statistics" / f"{task}.h5"

    @property
    def statistics_figures(self) -> Path:
        return self.root / "statistics" / "figures"

    @property
    def statistics_summary(self) -> Path:
        """Episodes, frames, chunks and stage lengths per task."""
        return self.root / "statistics" / "summary.json"

    @property
    def tokenizer(self) -> Path:
        """The FAST tokenizer; its report and figures lie beside it."""
        return self.root / "tokenizer" / "tokenizer.json"

    # --- training ---
    def run(self, run: str) -> Path:
        return self.root / "runs" / run

    def checkpoints(self, run: str) -> Path:
        return self.run(run) / "checkpoints"

    def tensorboard(self, run: str) -> Path:
        return self.run(run) / "tensorboard"

    def bundle(self, run: str) -> Path:
        return self.run(run) / "policy"

    def trained(self, run: str) -> Path:
        """Marker: the run is finished and its bundle is complete (step, losses, bundle hash)."""
        return self.run(run) / "finished.json"

    @property
    def groups(self) -> Path:
        """The groups of tasks of the second phase, made from the first one's scores."""
        return self.root / "groups.json"

    # --- evaluation ---
    def evaluation(self, evaluation: str) -> Path:
        return self.root / "evaluation" / evaluation

    def episode(self, evaluation: str, task: str, instance: int, rollout: int) -> Path:
        name = f"{task}_{instance}_{rollout}.json"
        # In one step: paths of thousands of episodes are made one after another.
        return self.root.joinpath("evaluation", evaluation, "episodes", name)

    def task_result(self, evaluation: str, task: str) -> Path:
        """The task's merged result: the single-task target."""
        return self.evaluation(evaluation) / f"{task}.json"

    def incomplete_result(self, evaluation: str, task: str) -> Path:
        """What the merge writes instead of `task_result` while episodes are missing or crashed.

        A name of its own, because Snakemake deletes the declared output of a rule that fails.
        """
        return self.evaluation(evaluation) / f"{task}.incomplete.json"

    def merged_result(self, evaluation: str, task: str) -> Path:
        """The merge that a report reads: the incomplete one where there is no complete one."""
        complete = self.task_result(evaluation, task)
        incomplete = self.incomplete_result(evaluation, task)
        return incomplete if incomplete.exists() and not complete.exists() else complete

    def official(self, evaluation: str) -> Path:
        """Files of an official evaluator, byte for byte: ``json/`` and ``videos/``."""
        return self.evaluation(evaluation) / "official"

    def imported(self, evaluation: str) -> Path:
        """Marker of an evaluation that was played elsewhere: its files' hashes and their faults."""
        return self.evaluation(evaluation) / "imported.json"

    def imported_evaluations(self) -> list[str]:
        """Names of the evaluations that came from elsewhere, by their markers."""
        markers = (self.root / "evaluation").glob("*/imported.json")
        return sorted(marker.parent.name for marker in markers)

    def labels(self, evaluation: str) -> Path:
        """Why its episodes failed, as people say: a JSON for every time that labels were saved."""
        return self.evaluation(evaluation) / "labels"

    def label_files(self) -> list[Path]:
        """The files of labels of all evaluations."""
        return sorted((self.root / "evaluation").glob("*/labels/*.json"))

    def claim(self, evaluation: str, task: str, instance: int, rollout: int) -> Path:
        """Who plays this episode just now."""
        name = f"{task}_{instance}_{rollout}.json"
        return self.evaluation(evaluation) / "claims" / name

    def shared_server(self, key: str) -> Path:
        """Where a shared policy server listens, and the API key; only its user can read it."""
        return self.root / "servers" / f"{key}.json"

    def played_with(self, evaluation: str, task: str) -> Path:
        """The settings that the task's episodes were played with."""
        return self.evaluation(evaluation) / "settings" / f"{task}.json"

    # --- jobs ---
    def jobs(self, stage: str, *names: str) -> Path:
        """Logs and records of the jobs that the launcher submits for one unit of work."""
        return self.root / "jobs" / "-".join((stage, *names))

    @property
    def queue(self) -> Path:
        """The last answer of the cluster's queue, shared by all launchers of the experiment."""
        return self.root / "jobs" / "queue.json"

    # --- locks, logs, and what a host compiled ---
    def lock(self, *parts: str) -> Path:
        """Held by the one process that does a piece of work."""
        return self.root / "locks" / f"{'-'.join(parts)}.lock"

    def compiled(self, host: str) -> Path:
        """JAX's compiled programs: other hosts may lack this one's processor features."""
        return self.root / "compiled" / host

    def log(self, *parts: str) -> Path:
        return self.root.joinpath("logs", *parts[:-1], f"{parts[-1]}.log")

    # --- leaderboard ---
    @property
    def leaderboard(self) -> Path:
        return self.root / "leaderboard"

    # --- what leaves the experiment ---
    @property
    def submission(self) -> Path:
        """Where the folder for a challenge is written."""
        return self.root / "submission"

    @property
    def submitted(self) -> Path:
        """Marker: the folder of section `submission` is written, and nothing lacks."""
        return self.submission / "complete.json"

    @property
    def uploaded(self) -> Path:
        """Marker: results and page are in the bucket of section `upload`."""
        return self.root / "uploaded.json"
