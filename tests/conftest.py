"""What all tests share."""

import os
import shutil
import tempfile

import pytest
from hypothesis import settings

# Property tests compile and share the machine: how long one example takes says nothing.
settings.register_profile("hearth", deadline=None)
settings.load_profile("hearth")

_CACHE = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """What one test compiles need not be compiled again by others, nor by processes they start."""
    if not hasattr(config, "workerinput"):  # pytest-xdist: workers inherit the environment
        folder = config.stash[_CACHE] = tempfile.mkdtemp(prefix="hearth-compiled-")
        os.environ["JAX_COMPILATION_CACHE_DIR"] = folder
        os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.1"


def pytest_unconfigure(config: pytest.Config) -> None:
    """Nothing is kept: the next run compiles for itself."""
    if folder := config.stash.get(_CACHE, None):
        shutil.rmtree(folder, ignore_errors=True)
