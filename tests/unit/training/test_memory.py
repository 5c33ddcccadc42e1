"""Memory that is freed stays with the process where that saves time, and nowhere else."""

from __future__ import annotations

import subprocess
import sys

import pytest

from hearth.training import memory

_CODE = """
import resource
import sys

import numpy as np

from hearth.training.memory import keep_freed_memory

if sys.argv[1] == "keep":
    assert keep_freed_memory()
for _ in range(3):
    np.ones(16 << 20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(3):
    np.ones(16 << 20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _faults(way: str) -> int:
    """Page faults of three arrays of 128 MiB, after three others."""
    environment = {"JAX_PLATFORMS": "cpu", "PATH": ""}
    command = [sys.executable, "-c", _CODE, way]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_arrays_reuse_the_pages_of_freed_ones():
    assert _faults("keep") < 100 < 1000 < _faults("default")


@pytest.mark.parametrize("platforms", ["cuda", "cuda,cpu", "tpu"])
def test_processes_with_an_accelerator_are_left_alone(monkeypatch, platforms: str):
    monkeypatch.setenv("JAX_PLATFORMS", platforms)
    assert not memory.keep_freed_memory()


def test_an_installed_plugin_counts_as_an_accelerator(monkeypatch):
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    monkeypatch.setattr(memory.importlib.metadata, "entry_points", lambda group: ["cuda"])
    assert not memory.keep_freed_memory()
