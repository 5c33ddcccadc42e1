"""``python -m hearth.serving``: serve one policy bundle, as ``hearth serve`` does."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from hearth.core.errors import HearthError, SettingsError
from hearth.core.lifetime import end_with_parent
from hearth.serving.bundle_server import serve_policy


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and serve until SIGTERM; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m hearth.serving", description=__doc__)
    parser.add_argument(
        "--policy", type=Path, required=True,
        help="folder of a policy bundle, or a file that names one per task",
    )  # fmt: skip
    parser.add_argument("--host", default="127.0.0.1", help="address to bind (%(default)s)")
    parser.add_argument("--port", type=int, default=8000, help="0: any free port (%(default)s)")
    parser.add_argument("--task", help="the task of clients that send no task_id")
    parser.add_argument("--runtime", default="{}", help="runtime settings as a JSON object")
    parser.add_argument("--seed", type=int, default=0, help="seed of the policy's noise")
    parser.add_argument("--ready-file", type=Path, help="JSON {host, port}, written when ready")
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
    """Serve with parsed options (``policy, host, port, task, runtime, seed``) until SIGTERM.

    Raises:
        HearthError: bundle, runtime settings, task or port cannot be used.
    """
    try:
        runtime = json.loads(options.runtime)
    except json.JSONDecodeError as error:
        raise SettingsError(f"--runtime {options.runtime!r} is not JSON: {error}") from error
    if not isinstance(runtime, dict):
        raise SettingsError(f"--runtime must be a JSON object such as {{}}, not {runtime!r}")
    serve_policy(
        options.policy, options.host, options.port, task=options.task, runtime=runtime,
        seed=options.seed, ready_file=getattr(options, "ready_file", None),
    )  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
