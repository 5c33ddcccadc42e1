"""``hearth import-weights`` and ``hearth export-weights``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hearth.core.sections import RuntimeSettings

_IMPORT = """\
Read an openpi checkpoint into a policy bundle that 'hearth serve' serves. docs/weights.md says how
to fetch checkpoints and what memory and disk they need.

  a published checkpoint of the winning system:
    hearth import-weights checkpoint_1 --to policies/checkpoint_1
  with another checkpoint's statistics, and acting as a file says:
    hearth import-weights pi05_base/params --to policies/pi05 \\
      --statistics results/behavior-2025/statistics.h5 --runtime my-runtime.yaml

Every parameter must be there with the right shape; otherwise nothing is written and the error names
the paths. Plain Pi0.5 lacks the parameters of tasks, stages, mixing and FAST: those are initialised
and listed. To train from such weights no bundle is needed: set runs.<run>.initial_weights to the
checkpoint's folder.
"""

_EXPORT = """\
Write a policy bundle as a checkpoint that the winning team's public server loads: params/ and
assets/<asset>/norm_stats.json.

    hearth export-weights results/behavior-2025/runs/main/policy --to exported/main

That server is fixed in many ways: 32 state tokens over -1..1, 32 action dimensions, FAST ids
without special tokens, and so on. A bundle that it could not run as it was trained is refused with
the list of all differences. docs/weights.md lists the settings to train with.
"""


def _add_import(subparsers: Any) -> None:
    parser = _add(subparsers, "import-weights", "openpi weights into a policy bundle", _IMPORT)
    parser.set_defaults(command=_import)
    parser.add_argument("checkpoint", type=Path, help="the checkpoint's folder, or params in it")
    parser.add_argument("--to", type=Path, required=True, help="the bundle's folder")
    parser.add_argument(
        "--benchmark", default="behavior-2025",
        help="name or file of the benchmark it acts in (default: behavior-2025)",
    )  # fmt: skip
    parser.add_argument(
        "--task", action="append", default=[],
        help="a task that the weights know (may be repeated; default: all of the benchmark)",
    )  # fmt: skip
    parser.add_argument(
        "--statistics", type=Path,
        help="statistics.h5, or norm_stats.json (default: the one in the checkpoint's assets)",
    )  # fmt: skip
    parser.add_argument(
        "--runtime", type=Path,
        help="YAML with the section 'runtime' of an experiment, or its keys "
        "(default: the winning system's)",
    )  # fmt: skip
    parser.add_argument(
        "--seed", type=int, default=0, help="of parameters that the checkpoint lacks (default: 0)"
    )


def _import(options: argparse.Namespace) -> int:
    from hearth.benchmark import load_benchmark
    from hearth.policy.weights.bundling import import_bundle
    from hearth.policy.weights.reference import reference_runtime

    benchmark = load_benchmark(options.benchmark)
    tasks = tuple(benchmark.task(name).name for name in options.task) or benchmark.task_names
    runtime = reference_runtime() if options.runtime is None else _runtime(options.runtime)
    content, report = import_bundle(
        options.checkpoint,
        options.to,
        benchmark=benchmark,
        tasks=tasks,
        runtime=runtime,
        statistics=_statistics(options.statistics, benchmark, tasks),
        seed=options.seed,
    )
    print(report.text())
    print(f"bundle {options.to} (hash {content})")
    return 0


def _statistics(path: Path | None, benchmark: Any, tasks: tuple[str, ...]) -> Any:
    from hearth.core.statistics import Statistics
    from hearth.data.norm_stats import read_norm_stats

    if path is None:
        return None
    if path.suffix == ".json":
        return read_norm_stats(path, benchmark, tasks)
    return Statistics.load(path)


def _runtime(path: Path) -> RuntimeSettings:
    import yaml
    from pydantic import ValidationError

    from hearth.core.errors import SettingsError, choices
    from hearth.core.sections import RuntimeSettings

    if not path.is_file():
        raise SettingsError(f"no file {path}: {choices(path, path.parent.glob('*.yaml'))}")
    try:
        values = yaml.safe_load(path.read_text()) or {}
        if isinstance(values, dict) and set(values) == {"runtime"}:  # as in config/runtimes
            values = values["runtime"]
        return RuntimeSettings.model_validate(values)
    except (ValidationError, yaml.YAMLError) as error:
        raise SettingsError(f"{path} holds no valid runtime settings: {error}") from error


def _add_export(subparsers: Any) -> None:
    parser = _add(subparsers, "export-weights", "a policy bundle as an openpi checkpoint", _EXPORT)
    parser.set_defaults(command=_export)
    parser.add_argument("bundle", type=Path, help="the policy bundle's folder")
    parser.add_argument("--to", type=Path, required=True, help="the new checkpoint's folder")
    parser.add_argument(
        "--asset", help="the server's name of the data set (default: the published one)"
    )


def _export(options: argparse.Namespace) -> int:
    from hearth.policy import bundle
    from hearth.policy.weights.exporting import ASSET, export_bundle

    export_bundle(bundle.load(options.bundle), options.to, asset=options.asset or ASSET)
    print(f"checkpoint {options.to}")
    return 0


def _add(subparsers: Any, name: str, help_text: str, description: str) -> argparse.ArgumentParser:
    return subparsers.add_parser(
        name,
        help=help_text,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


COMMANDS = (_add_import, _add_export)
