"""The options of ``hearth serve``; light, since every command line parses them."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add them to a parser."""
    parser.add_argument(
        "--policy", type=Path, required=True,
        help="a policy bundle folder, or a YAML file {bundles: {task: folder}, resident_bytes: N}",
    )  # fmt: skip
    parser.add_argument("--host", default="127.0.0.1", help="address to bind (default: loopback)")
    parser.add_argument(
        "--port", type=int, nargs="+", default=[8000],
        help="one or several; 0 chooses a free one (default: 8000)",
    )  # fmt: skip
    parser.add_argument(
        "--one-evaluator-per-port", action="store_true",
        help="a new connection to a port continues its episode unless it starts with a reset",
    )  # fmt: skip
    parser.add_argument(
        "--key-file", type=Path,
        help="API keys, a YAML file {shared: KEY, evaluators: {name: KEY}} of mode 600",
    )  # fmt: skip
    parser.add_argument("--task", help="the task, where observations carry no task_id")
    parser.add_argument("--seed", type=int, default=0, help="seed of the policy's noise")
    parser.add_argument(
        "--seed-by-task", action="store_true",
        help="--seed is an experiment's: draw each task's own from it, as its evaluations do",
    )  # fmt: skip
    parser.add_argument("--runtime", default="{}", help="runtime settings as a JSON object")
    parser.add_argument(
        "--serving", default="{}",
        help="batches and limits as a JSON object, e.g. '{\"batch_sizes\": [1, 8]}'",
    )  # fmt: skip
