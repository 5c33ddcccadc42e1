"""`hearth` that gets a signal the moment before a file appears under its name.

    python stop_at_write.py SIGNAL PATTERN ARGUMENTS...

PATTERN is a regular expression that the file's path must match.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable
from typing import Any

number, pattern, arguments = int(sys.argv[1]), re.compile(sys.argv[2]), sys.argv[3:]


def stopping(publish: Callable[..., None]) -> Callable[..., None]:
    def stop_or_publish(source: Any, target: Any, **options: Any) -> None:
        if pattern.search(os.fspath(target)):
            print(f"signal {number} before {target}", file=sys.stderr, flush=True)
            os.kill(os.getpid(), number)
        publish(source, target, **options)

    return stop_or_publish


# Before hearth is loaded, which keeps os.replace as a default of a function.
os.replace, os.link = stopping(os.replace), stopping(os.link)
signal.signal(signal.SIGINT, signal.default_int_handler)

from hearth.cli import main  # noqa: E402

sys.exit(main(arguments))
