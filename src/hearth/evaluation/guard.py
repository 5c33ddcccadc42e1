"""Runs a command of the user's and leaves nothing of it behind, whatever ends.

``conda run``, containers and simulators start further processes. All of them end with the command,
with this process on SIGTERM, and with the process that wanted the command (Linux), even if that one
was killed by force. What a service runs for the command, as Docker does, is no child of anybody
here: only the command given with ``--stop`` ends it.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
from typing import Any

import psutil

from hearth.core.lifetime import end_with_parent

_PR_SET_CHILD_SUBREAPER = 36
_MOST_ROUNDS = 5
STOP_SECONDS = 30.0  # that the command of --stop may take


def main(arguments: list[str] | None = None) -> int:
    """Run the command; ends as it ended."""
    parser = argparse.ArgumentParser(prog="python -m hearth.evaluation.guard", description=__doc__)
    parser.add_argument("--parent", type=int, required=True, help="end with this process")
    parser.add_argument(
        "--grace", type=float, required=True, help="seconds from SIGTERM to SIGKILL"
    )
    parser.add_argument(
        "--stop", default="[]", help="JSON list: a command that ends what is out of reach"
    )
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _leave)
    end_with_parent(options.parent, signal.SIGTERM)
    _adopt_orphans()
    stop = json.loads(options.stop)
    command = [word for word in options.command[:1] if word != "--"] + options.command[1:]
    try:
        code = subprocess.Popen(command, stdin=subprocess.DEVNULL).wait()
    except OSError as error:
        print(f"cannot start {command[0]}: {error}", file=sys.stderr)
        return 127
    except SystemExit:
        _clean(options.grace, stop)
        raise
    # A container goes on where the program that started it was ended by force.
    _clean(options.grace, stop if code < 0 else [])
    if code < 0:
        _end_by(-code)
    return code


def _leave(number: int, frame: Any) -> None:
    raise SystemExit(128 + number)


def _adopt_orphans() -> None:
    """Let processes whose parent ends become our children instead of getting lost."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _clean(grace_seconds: float, stop: list[str]) -> None:
    """End all processes below this one, and what `stop` reaches: asked first, then made."""
    # A second request to end must not stop the cleaning.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for process in _descendants():
        with contextlib.suppress(psutil.Error):
            process.terminate()
    psutil.wait_procs(_descendants(), timeout=grace_seconds)
    if stop:
        # Before the rest is killed: what watches a container removes it once that has ended.
        _run(stop)
        psutil.wait_procs(_descendants(), timeout=grace_seconds)
    for _ in range(_MOST_ROUNDS):  # what is killed may have started another one just before
        for process in _descendants():
            with contextlib.suppress(psutil.Error):
                process.kill()
        if not psutil.wait_procs(_descendants(), timeout=grace_seconds)[1]:
            break


def _descendants() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=STOP_SECONDS, text=True, errors="replace", check=False,
        )  # fmt: skip
        said = f"exit code {done.returncode} {done.stdout.strip()}"
    except (OSError, subprocess.TimeoutExpired) as error:
        said = str(error)
    # In the log: where the container had ended by itself, this says that there is none.
    print(f"evaluator.stop, {' '.join(command)}: {said}", flush=True)


def _end_by(number: int) -> None:
    """End by the signal that ended the command, so that the reason can be told; no second dump."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    with contextlib.suppress(OSError):  # SIGKILL has no handler to remove
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


if __name__ == "__main__":
    sys.exit(main())
