"""The stand-in simulator and server of the evaluation's tests, launched as local processes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "tests" / "cluster" / "launch_fake.py"


@pytest.fixture
def faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder where files switch faults on."""
    folder = tmp_path / "faults"
    folder.mkdir()
    monkeypatch.setenv("HEARTH_FAKE", str(folder))
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "tests" / "unit" / "evaluation"))
    return folder


@pytest.fixture
def start(tmp_path: Path, faults: Path) -> Callable[..., subprocess.Popen[str]]:
    """Starts `hearth launch evaluate` with submitit's local executor."""

    def make(**values: Any) -> subprocess.Popen[str]:
        launcher = {"executor": "local", "poll_seconds": 0.5, "shards": 2}
        launcher.update(values.pop("launcher", {}))
        text = json.dumps({"workers": 1, **values, "launcher": launcher})
        return subprocess.Popen(
            [sys.executable, str(SCRIPT), str(tmp_path / "results"), text],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
            start_new_session=True,
        )  # fmt: skip

    return make
