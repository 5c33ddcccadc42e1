#!/usr/bin/env bash
# Unlock this folder after Snakemake was killed by force; refuses while one still runs here.
# Arguments: the Snakemake command with its options.
set -euo pipefail
# Python and not pgrep: that is missing in small images and sees no folders. An error ends this.
"$(dirname "$1")/python" - <<'END'
import os
import sys
from pathlib import Path

import psutil

here = Path.cwd()
for process in psutil.process_iter():
    try:
        words = process.cmdline()
        # This script and the make that called it name Snakemake on their command lines too.
        if not words or "python" not in Path(words[0]).name.lower():
            continue
        if not any(Path(word).name == "snakemake" for word in words[1:]):
            continue
        if Path(process.cwd()) == here:
            sys.exit(f"Snakemake still runs here as process {process.pid}; end it first")
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        continue  # it has just ended, or is another user's
END
"$@" --unlock
