"""``python -m hearth.serving``: serve one policy bundle, as ``hearth serve`` does."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from hearth.core.errors import HearthError, SettingsError
from hearth.core.lifetime import end_with_parent
from hearth.serving.access import read_keys
from hearth.serving.bundle_server import serve_policy
from hearth.serving.options import add_options


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and serve until SIGTERM; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m hearth.serving", description=__doc__)
    add_options(parser)
    parser.add_argument(
        "--ready-file", type=Path, help="JSON {host, port, ports}, written when ready"
    )
    parser.add_argument(
        "--predictions", type=Path, metavar="FOLDER",
        help="append every prediction to FOLDER/<port>_<resets>.jsonl",
    )  # fmt: skip
    parser.add_argument("--parent", type=int, help="end with this process")
    options = parser.parse_args(arguments)
    if options.parent is not None:
        end_with_parent(options.parent)
    try:
        return serve_bundle(options)
    except HearthError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def serve_bundle(options: argparse.Namespace) -> int:
    """Serve with parsed options (see `add_options`) until SIGTERM.

    Raises:
        HearthError: bundle, settings, keys, task or port cannot be used.
    """
    serve_policy(
        options.policy, options.host, options.port, task=options.task,
        runtime=_json_object("--runtime", options.runtime),
        serving=_json_object("--serving", options.serving),
        seed=options.seed, seed_by_task=options.seed_by_task,
        ready_file=getattr(options, "ready_file", None),
        keys=None if options.key_file is None else read_keys(options.key_file),
        one_evaluator_per_port=options.one_evaluator_per_port,
        predictions=getattr(options, "predictions", None),
    )  # fmt: skip
    return 0


def _json_object(option: str, text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise SettingsError(f"{option} {text!r} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise SettingsError(f"{option} must be a JSON object such as {{}}, not {value!r}")
    return value


if __name__ == "__main__":
    sys.exit(main())
