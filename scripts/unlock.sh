#!/usr/bin/env bash
# Unlock this folder after Snakemake was killed by force, and cancel the short Slurm jobs that it
# left; refuses while one still runs here.
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
        # Of a job that a Snakemake submitted: it holds no lock.
        if "--target-jobs" in words:
            continue
        if Path(process.cwd()) == here:
            sys.exit(f"Snakemake still runs here as process {process.pid}; end it first")
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        continue  # it has just ended, or is another user's
END

# Jobs of its Slurm executor that still queue would begin one day and make finished files anew.
config="" overrides=() previous=""
for word in "$@"; do
    if [[ $previous == --configfile ]]; then config=$word; fi
    if [[ $word == set=* ]]; then
        for pair in ${word#set=}; do overrides+=(--set "$pair"); done
    fi
    previous=$word
done
"$(dirname "$1")/hearth" cluster clear --config "$config" "${overrides[@]}" ||
    echo "Short jobs that the killed Snakemake left were not cancelled; unlocking all the same" >&2
"$@" --unlock
