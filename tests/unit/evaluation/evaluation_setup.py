"""What the evaluation tests share: settings, stand-in back-ends, and a look at what was played."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hearth.core.settings import Settings, validate_settings
from hearth.evaluation.backends import Backends

HERE = Path(__file__).parent
TASK = "turning_on_radio"
BACKENDS = Backends(
    "evaluation_fakes:environment", (sys.executable, str(HERE / "evaluation_fakes.py"))
)


def make_settings(results: Path, **evaluation: Any) -> Settings:
    wanted = {"policy": "main", "instances": 3, "workers": 2, "video": False, **evaluation}
    values = {
        "experiment": "fake",
        "results": str(results),
        "benchmark": "household",
        "demonstrations": {},
        "runs": {"main": {}},
        "evaluations": {"trained": wanted},
    }
    return validate_settings(values, source="test")


def played(faults: Path) -> list[int]:
    """The instances that were started, in order."""
    log = faults / "played"
    lines = log.read_text().splitlines() if log.exists() else []
    return [int(line.split()[0]) for line in lines]
