"""``hearth trace``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from hearth.commands.options import add_command, settings_of


def _add_trace(subparsers: Any) -> None:
    parser = add_command(
        subparsers, "trace", "draw what the policy predicted in an episode as SVG figures", _trace
    )
    parser.add_argument("--evaluation", required=True, help="an evaluation or ablation")
    parser.add_argument("--task", required=True)
    parser.add_argument("--instance", type=int, required=True)
    parser.add_argument("--rollout", type=int, default=0)
    parser.add_argument(
        "--dimension",
        help="an action dimension's name or number (default: the one that moves most)",
    )
    parser.add_argument("--output", type=Path, default=Path("traces"), help="default: traces/")


def _trace(options: argparse.Namespace) -> int:
    from hearth.core.results import Results
    from hearth.core.traces import read_trace, trace_path
    from hearth.reporting.trace_figures import write_trace_figures

    settings, benchmark = settings_of(options)
    settings.evaluation(options.evaluation)
    key = options.evaluation, benchmark.task(options.task).name, options.instance, options.rollout
    path = trace_path(Results.of(settings).episode(*key))
    name = "-".join(str(part) for part in key)
    trace = read_trace(path)
    for figure in write_trace_figures(options.output, name, trace, options.dimension):
        print(figure)
    return 0


COMMANDS = (_add_trace,)
