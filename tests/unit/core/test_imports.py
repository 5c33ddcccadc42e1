"""Libraries are found or not, as asked, and nothing is left behind."""

from __future__ import annotations

import subprocess
import sys

import pytest

from hearth.core.imports import without


def test_a_package_is_not_found_within_and_found_after():
    # A module of the standard library that nothing here has loaded.
    sys.modules.pop("this", None)
    with without("this"), pytest.raises(ImportError):
        __import__("this.something")
    assert "this" not in sys.modules


def test_a_loaded_package_stays():
    with without("json"):
        import json
    assert sys.modules["json"] is json


def test_recording_loads_no_jax():
    code = "import sys, hearth.simulation.household.demonstrate; print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("command", ["merge", "launch", "train", "report"])
def test_no_command_loads_statsmodels_before_something_is_compared(command):
    """It takes a second, and only the statistics of `hearth report` need it."""
    module = {"merge": "hearth.evaluation.merge"}.get(command, f"hearth.commands.{command}")
    code = f"import sys, hearth.cli, {module}; print('statsmodels' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
