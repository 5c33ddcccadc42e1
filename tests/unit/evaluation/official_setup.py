"""An experiment that is played by stand-ins of the official evaluators (standin_evaluator.py)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from hearth.core.files import read_json, write_json
from hearth.core.results import Results
from hearth.core.settings import Settings, validate_settings
from hearth.evaluation.backends import Backends
from hearth.evaluation.run import evaluate_task
from hearth.serving.access import Access
from hearth.serving.server import open_server

STANDIN = Path(__file__).with_name("standin_evaluator.py")
TASK = "turning_on_radio"
TABLE = f'Task ID,Task,Public Test Instance IDs\n0,{TASK},"242, 295, 211, 203"\n'
PORTS = 2
# Writes the ready file of a server that runs already, and lives as long as it is wanted.
_POINTER = """
import json, pathlib, sys, time
options = dict(zip(sys.argv[2:], sys.argv[3:]))
ports = json.loads(sys.argv[1])[: sys.argv.count("0")]
text = json.dumps({"host": "127.0.0.1", "port": ports[0], "ports": ports})
pathlib.Path(options["--ready-file"]).write_text(text)
time.sleep(600)
"""


class CountingPolicy:
    """Counts its steps, so that mixed episodes show in the actions."""

    def reset(self) -> None:
        self.count = 0

    def act(self, observation: dict) -> np.ndarray:
        assert np.asarray(observation["robot_r1::proprio"]).reshape(-1)[0] == self.count
        self.count += 1
        return np.full(23, self.count - 1, np.float32)


@contextlib.contextmanager
def policy_server() -> Iterator[tuple[str, ...]]:
    """The real server with a counting policy, in a thread; a command that stands for it."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def wait(coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(60)

    server = open_server(
        CountingPolicy, "127.0.0.1", [0] * PORTS, metadata={"device": "fake"},
        access=Access(None, one_evaluator_per_port=True),
    )  # fmt: skip
    try:
        ports = wait(server.__aenter__())
        yield sys.executable, "-S", "-c", _POINTER, json.dumps(ports)
        wait(server.__aexit__(None, None, None))
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class Case:
    """An experiment of one year in a temporary folder, and its made-up OmniGibson.

    Args:
        batch: the evaluator of 2026 knows --num-envs.
    """

    def __init__(
        self, folder: Path, server: tuple[str, ...], year: int, version: str, batch: bool = False
    ) -> None:
        self.folder, self.server, self.year = folder, server, year
        self.faults = folder / "faults"
        self.faults.mkdir()
        self.package = folder / "checkout" / "omnigibson"
        place = self.package / ("learning" if year == 2025 else "eval")
        place.mkdir(parents=True)
        (self.package / "__init__.py").write_text(f'__version__ = "{version}"\n')
        (place / "__init__.py").touch()
        source = STANDIN.read_text()
        if batch:
            source = source.replace("BATCH_OPTIONS = ()", 'BATCH_OPTIONS = ("--num-envs",)')
        (place / "eval.py").write_text(source)
        self.table = folder / "2025-challenge-task-instances" / "metadata" / "test_instances.csv"
        self.table.parent.mkdir(parents=True)
        self.table.write_text(TABLE)

    def settings(self, evaluator: dict[str, Any] | None = None, **evaluation: Any) -> Settings:
        wanted = {"policy": "main", "instances": 3, "workers": 1, "video": False, **evaluation}
        section = {
            "python": [sys.executable],
            "environment": {
                "PYTHONPATH": str(self.package.parent), "STANDIN": str(self.faults),
                "OMNIGIBSON_DATA_PATH": str(self.folder),
            },
            "instances": str(self.table), "grace_seconds": 1.0, **(evaluator or {}),
        }  # fmt: skip
        values = {
            "experiment": "official",
            "results": str(self.folder / "results"),
            "benchmark": f"behavior-{self.year}",
            "data": {"dataset": "demonstrations"},
            "runs": {"main": {}},
            "evaluations": {"public": wanted},
            "evaluator": section,
        }
        made = validate_settings(values, source="test")
        bundle = Results.of(made).bundle("main")
        write_json(bundle / "provenance.json", {"hash": "0123456789abcdef"})
        return made

    def fault(self, name: str, what: str) -> None:
        (self.faults / name).write_text(what)

    def run(self, settings: Settings) -> dict[str, int]:
        return evaluate_task(settings, "public", TASK, Backends(None, self.server))

    def played(self) -> list[list[str]]:
        """Per episode that was begun: instance, rollout, process, GPU."""
        path = self.faults / "played"
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []

    def processes(self) -> list[int]:
        """Evaluators that live, with their guards, by the folder that they write into."""
        found = psutil.process_iter(["cmdline", "status"])
        alive = [p for p in found if p.info["status"] != psutil.STATUS_ZOMBIE]
        folder = str(self.folder / "results")
        return [p.pid for p in alive if folder in " ".join(p.info["cmdline"] or [])]

    def instances(self) -> list[int]:
        return [int(words[0]) for words in self.played()]

    def result(self, settings: Settings, instance: int, rollout: int = 0) -> dict[str, Any]:
        return read_json(Results.of(settings).episode("public", TASK, instance, rollout))
