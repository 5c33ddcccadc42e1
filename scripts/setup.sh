#!/usr/bin/env bash
# Install hearth into .venv: hash-pinned packages by uv, and the GL library that the embedded
# simulator renders with. With the argument `test`: also the browser that the page is tested in;
# with `cluster`: the Slurm that the cluster tests start by themselves; with `cuda`: JAX for NVIDIA
# GPUs (Linux, a driver for CUDA 12), in the same versions.
set -euo pipefail
cd "$(dirname "$0")/.."

case "${1:-}" in
  "" | test | cluster | cuda) ;;
  *) echo "unknown extra '$1'; valid: cluster, cuda, test" >&2; exit 1 ;;
esac

find_python() {
  for name in "${PYTHON:-}" python3.11 python3.12 python3.13 python3; do
    [ -n "$name" ] && command -v "$name" >/dev/null || continue
    if "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'; then
      command -v "$name"
      return
    fi
  done
  echo "hearth needs Python 3.11, 3.12 or 3.13 and found none; install one or set PYTHON=/path/to/python3" >&2
  exit 1
}

# A missing package list is refreshed once; without root the admin has to do it.
system_packages() {
  local missing=()
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return
  if [ "$(id -u)" = 0 ]; then
    echo "installing system packages: ${missing[*]}"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  else
    echo "hearth needs these system packages; ask your admin for: apt-get install ${missing[*]}" >&2
    exit 1
  fi
}

if command -v dpkg-query >/dev/null; then
  packages=(libosmesa6)
  [ "${1:-}" = test ] && ! command -v chromium >/dev/null && packages+=(chromium)
  [ "${1:-}" = cluster ] && packages+=(slurmctld slurmd slurmdbd slurm-client mariadb-server munge)
  "$(find_python)" -c 'import ensurepip' 2>/dev/null || packages+=(python3-venv)
  system_packages "${packages[@]}"
elif ! ldconfig -p 2>/dev/null | grep -q 'libOSMesa\|libEGL'; then
  echo "the embedded simulator renders with OSMesa or EGL: install your system's libOSMesa (or libEGL and libGL)" >&2
  exit 1
fi

python=$(find_python)
lock=requirements.lock
[ "${1:-}" = cuda ] && lock=requirements-cuda.lock
[ -x .venv/bin/python ] || "$python" -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-installer.lock
.venv/bin/uv pip install --quiet --system-certs --python .venv/bin/python --require-hashes -r "$lock"
.venv/bin/uv pip install --quiet --system-certs --python .venv/bin/python --no-deps --no-build-isolation --editable .
echo "hearth is installed in .venv: $(.venv/bin/python --version), $(du -sh .venv | cut -f1)"
