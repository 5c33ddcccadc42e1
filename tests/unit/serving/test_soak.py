"""`make soak` and the load in short: servers in processes of their own, memory, exit codes."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hearth.core.files import read_json
from hearth.serving import wire

FAKES = Path(__file__).parent / "serving_fakes.py"
BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Any]:
    """Loads a script whose servers have a policy without a network, and start in a second."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    numbers = itertools.count()

    def load(name: str, *arguments: str) -> Any:
        module = importlib.import_module(name)
        process_class = importlib.import_module("serving_process").ServerProcess

        @contextlib.contextmanager
        def running_server(bundle: Path, **settings: Any) -> Iterator[Any]:
            ready = tmp_path / f"ready{next(numbers)}.json"
            command = [sys.executable, str(FAKES), str(ready), "0"]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
                try:
                    assert process.stdout is not None and process.stdout.readline()
                    yield process_class(read_json(ready)["port"], process)
                finally:
                    process.kill()

        monkeypatch.setattr(module, "running_server", running_server)
        monkeypatch.setattr(module, "write_untrained_bundle", lambda folder: folder)
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        return module

    return load


def test_a_server_that_keeps_its_memory_passes(script, capsys):
    assert script("serving_soak", "--requests", "1600", "--frames", "0").main() == 0
    assert "1600 requests in " in capsys.readouterr().out


def test_a_server_that_keeps_a_piece_of_every_request_does_not(script, capsys, monkeypatch):
    soak = script("serving_soak", "--requests", "1600", "--frames", "0")
    leaking = wire.pack({"order": "leak"})
    monkeypatch.setattr(soak, "packed_observation", lambda seed: leaking)
    assert soak.main() == 1
    assert f"(allowed {soak.ALLOWED_MEBIBYTES:+.0f})" in capsys.readouterr().out


def test_the_load_asks_for_what_it_says(script, capsys):
    load = script("serving_load", "--clients", "4", "--requests", "12", "--rounds", "1")
    load.main()
    printed = capsys.readouterr().out
    assert "(4 clients, 48 requests, no error)" in printed
    assert "batched / one at a time: throughput " in printed
