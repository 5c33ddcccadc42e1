"""An openpi checkpoint as a policy bundle that serves."""

from __future__ import annotations

from pathlib import Path

from hearth.benchmark.benchmark import Benchmark
from hearth.core.errors import WeightsError
from hearth.core.sections import ModelSettings, RuntimeSettings
from hearth.core.statistics import Statistics
from hearth.data.norm_stats import read_norm_stats
from hearth.model import presets
from hearth.model.configuration import ModelConfig
from hearth.policy import bundle
from hearth.policy.network import NetworkDefinition
from hearth.policy.weights.checkpoint import params_folder
from hearth.policy.weights.importing import ImportReport, import_parameters
from hearth.policy.weights.reference import IMAGE_SIZE, reference_settings


def import_bundle(
    source: Path,
    destination: Path,
    *,
    benchmark: Benchmark,
    tasks: tuple[str, ...],
    runtime: RuntimeSettings,
    statistics: Statistics | None = None,
    config: ModelConfig | None = None,
    seed: int = 0,
) -> tuple[str, ImportReport]:
    """Write the bundle of a checkpoint, in place of an older one.

    Args:
        source: the checkpoint's folder, or `params` in it.
        destination: the bundle's folder.
        benchmark, tasks: where it acts, and which of its tasks it knows.
        runtime: how it acts unless a server is told otherwise.
        statistics: None: from the checkpoint's `assets/.../norm_stats.json`.
        config: the network; None: the public configuration for this benchmark.
        seed: of the parameters that plain Pi0.5 lacks.

    Returns:
        The bundle's hash, and what was read.

    Raises:
        WeightsError: the checkpoint cannot be read or does not fit, or has no statistics.
        StatisticsError: the statistics are not of this robot, these tasks or this horizon.
    """
    model: ModelSettings = reference_settings()
    if statistics is None:
        statistics = read_norm_stats(find_norm_stats(source), benchmark, tasks)
    if config is None:
        config = presets.config(model, benchmark, IMAGE_SIZE, statistics.horizon)
    statistics.check(benchmark.robot.name, tasks, config.horizon)
    definition = NetworkDefinition(config)
    parameters, report = import_parameters(source, definition)
    if report.initialised:
        fresh = definition.initialise(seed, frozenset(report.initialised))
        parameters.update(bundle.portable(fresh))
    content = bundle.write(
        destination,
        config=config,
        model=model,
        tasks=tasks,
        benchmark=benchmark,
        statistics=statistics,
        parameters=parameters,
        provenance={
            "imported": report.as_dict(),
            "statistics_hash": statistics.hash,
            "runtime": runtime.model_dump(mode="json"),
        },
    )
    return content, report


def find_norm_stats(source: Path) -> Path:
    """The one `norm_stats.json` below the checkpoint's `assets`.

    Raises:
        WeightsError: there is none, or more than one.
    """
    folder = params_folder(source)
    assets = (folder.parent if folder.name == "params" else folder) / "assets"
    found = sorted(assets.rglob("norm_stats.json"))
    if len(found) == 1:
        return found[0]
    if not found:
        raise WeightsError(
            f"no norm_stats.json below {assets}: give the statistics of the training data (plain "
            "Pi0.5 has none for this robot)"
        )
    listed = ", ".join(str(path) for path in found)
    raise WeightsError(f"several statistics below {assets}: {listed}; give the one to use")
