"""What a run was trained with, and whether a later call asks for the same."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hearth.benchmark.benchmark import Benchmark
from hearth.core.errors import TrainingError
from hearth.core.files import hash_json, read_json, write_json
from hearth.core.settings import Settings

if TYPE_CHECKING:
    from hearth.core.statistics import Statistics

# These change how a run is carried out, not what comes out of it; the last three stand elsewhere in
# the fingerprint, as the tasks, the weights and the statistics that they lead to.
_EXCLUDED: dict[str, Any] = {
    **dict.fromkeys(
        ("checkpoint_every", "checkpoints_kept", "log_every", "devices", "validation_every",
         "validation_batches", "maximum_loss", "start_timeout_seconds", "step_timeout_seconds",
         "peak_teraflops", "tasks", "initialise_from", "statistics"),
        True,
    ),
    "loader": {"workers", "threads", "batches_ahead", "image_memory_bytes"},
}  # fmt: skip


def fingerprint(
    settings: Settings,
    run: str,
    benchmark: Benchmark,
    tasks: tuple[str, ...],
    statistics: Statistics,
    initial_policy: str | None = None,
) -> dict[str, Any]:
    """The settings and data that determine a run's weights, as JSON values.

    `initial_policy` is the hash of the policy of another run that this one starts from.
    """
    values = {
        **settings_part(settings, run, benchmark),
        "tasks": list(tasks),
        "data_hash": statistics.source_hash,
        "statistics_hash": statistics.hash,
    }
    return values if initial_policy is None else {**values, "initial_policy": initial_policy}


def settings_part(settings: Settings, run: str, benchmark: Benchmark) -> dict[str, Any]:
    """What of the fingerprint needs no data; `settings` are those for the run."""
    return {
        "seed": settings.seed,
        "benchmark": benchmark.name,
        "benchmark_hash": _learned_facts(benchmark),
        "model": settings.model.model_dump(mode="json"),
        "run": settings.run(run).model_dump(mode="json", exclude=_EXCLUDED),
        "data": settings.data.model_dump(mode="json"),
        "statistics": settings.statistics.model_dump(mode="json"),
        # With the data and the seed, its settings determine the tokenizer.
        "tokenizer": settings.tokenizer.model_dump(mode="json")
        if settings.uses_tokenizer
        else None,
    }


def _learned_facts(benchmark: Benchmark) -> str:
    """A hash over what enters the network: robot, cameras and stages, but no lengths or splits."""
    facts = benchmark.model_dump(mode="json", include={"robot", "cameras"})
    stages = [[task.index, task.name, task.stages] for task in benchmark.tasks]
    return hash_json({**facts, "stages": stages})


def started_with(folder: Path) -> dict[str, Any] | None:
    """The fingerprint that the run in `folder` was started with; None if it was not."""
    path = _path(folder)
    return read_json(path) if path.is_file() else None


def remember(folder: Path, values: dict[str, Any]) -> None:
    """Write the fingerprint of the run in `folder`."""
    write_json(_path(folder), values)


def refuse_change(run: str, changes: list[str]) -> None:
    """Raise for a protected run whose settings or data changed.

    Raises:
        TrainingError: with every difference and the choices.
    """
    raise TrainingError(
        f"run '{run}' has work done with other settings or data, which 'protect' keeps:\n"
        + "\n".join(f"  {line}" for line in changes)
        + "\nEither give the changed run a new name below 'runs', or drop the old one with: "
        f"hearth train --run {run} --discard"
    )


def _path(folder: Path) -> Path:
    return folder / "fingerprint.json"
