"""What all tests share."""

import atexit
import os
import shutil
import tempfile

from hypothesis import settings

# Property tests compile and share the machine: how long one example takes says nothing.
settings.register_profile("hearth", deadline=None)
settings.load_profile("hearth")


def _share_compiled() -> None:
    """What one test compiles need not be compiled again by others, nor by processes they start."""
    folder = tempfile.mkdtemp(prefix="hearth-compiled-")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = folder
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.1"
    # Nothing is kept: the next run compiles for itself.
    atexit.register(shutil.rmtree, folder, ignore_errors=True)


# Here and not in a hook: conftest files further down import jax, which reads this once.
if "PYTEST_XDIST_WORKER" not in os.environ:  # its workers inherit the environment
    _share_compiled()
