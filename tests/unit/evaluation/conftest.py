"""An experiment in a temporary folder whose simulator and server are stand-ins."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from evaluation_setup import HERE, make_settings
from official_setup import Case, policy_server

from hearth.core.files import write_json
from hearth.core.results import Results
from hearth.core.settings import Settings


@pytest.fixture
def faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder where files switch faults on (see evaluation_fakes.py)."""
    folder = tmp_path / "faults"
    folder.mkdir()
    monkeypatch.setenv("HEARTH_FAKE", str(folder))
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    return folder


@pytest.fixture
def settings(tmp_path: Path, faults: Path) -> Callable[..., Settings]:
    """Makes the experiment's settings with changes to its one evaluation."""

    def make(**evaluation: Any) -> Settings:
        made = make_settings(tmp_path / "results", **evaluation)
        bundle = Results.of(made).bundle("main")
        write_json(bundle / "provenance.json", {"hash": "0123456789abcdef"})
        return made

    return make


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, ...]]:
    """The words that start a policy server for official evaluators."""
    with policy_server() as command:
        yield command


@pytest.fixture
def case(tmp_path: Path, server: tuple[str, ...]) -> Case:
    """An evaluation that the stand-in of the official evaluator of 2026 plays."""
    return Case(tmp_path, server, 2026, "3.9.2")
