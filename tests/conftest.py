"""What all tests share."""

import atexit
import os
import signal
from importlib.metadata import version

from hypothesis import settings

from hearth.core.temporary import TemporaryFolder

# Property tests compile and share the machine: how long one example takes says nothing.
settings.register_profile("hearth", deadline=None)
settings.load_profile("hearth")


# Tests compile many programs and run each for moments: a quarter of the time to compile a training
# step. What is compiled as users compile it is seen by `make demo CONFIG=config/test.yaml`.
# A flag that XLA does not know ends the process, and it lost the second one after jaxlib 0.10.
_QUICK_COMPILATION = "--xla_backend_optimization_level=0"
if version("jaxlib").startswith("0.10."):
    _QUICK_COMPILATION += " --xla_cpu_use_fusion_emitters=false"


def _compile_quickly_and_once() -> None:
    """What one test compiles need not be compiled again by others, nor by processes they start."""
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_QUICK_COMPILATION}".strip()
    # Nothing is kept: the next run compiles for itself, and removes what a killed one left.
    folder = TemporaryFolder("compiled")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder.path)
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.1"
    atexit.register(folder.remove)


# A shell's background jobs ignore Ctrl-C, and so would all that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Here and not in a hook: conftest files further down import jax, which reads this once.
if "PYTEST_XDIST_WORKER" not in os.environ:  # its workers inherit the environment
    _compile_quickly_and_once()
