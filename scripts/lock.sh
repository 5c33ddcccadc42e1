#!/usr/bin/env bash
# Resolve the locks: names, versions and hashes only, for Python 3.11 to 3.13.
set -euo pipefail
cd "$(dirname "$0")/.."
lock() { .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url "$@"; }
lock --extra dev pyproject.toml --output-file requirements.lock
lock --extra dev --extra cuda --constraint requirements.lock pyproject.toml --output-file requirements-cuda.lock
echo uv | lock - --output-file requirements-installer.lock
