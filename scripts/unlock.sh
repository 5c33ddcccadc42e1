#!/usr/bin/env bash
# Unlock this folder after Snakemake was killed by force; refuses while one still runs here.
# Arguments: the Snakemake command with its options.
set -euo pipefail
for process in $(pgrep -f '[s]nakemake' || true); do
  # This script and the make that called it name Snakemake on their command lines too.
  [ "$(readlink "/proc/$process/cwd" 2>/dev/null)" = "$PWD" ] || continue
  case "$(tr '\0' ' ' <"/proc/$process/cmdline" 2>/dev/null)" in
    *python*snakemake*)
      echo "Snakemake still runs here as process $process; end it first" >&2
      exit 1
      ;;
  esac
done
"$@" --unlock
