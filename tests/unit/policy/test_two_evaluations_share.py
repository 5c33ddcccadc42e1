"""Two evaluations in the embedded simulator at once, on one shared policy server, to their end."""

from __future__ import annotations

import re
import threading
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from hearth.benchmark.benchmark import default_folder
from hearth.core.files import write_private_json
from hearth.core.results import Results
from hearth.core.settings import Settings, validate_settings
from hearth.evaluation import identity
from hearth.evaluation.merge import merge_task
from hearth.evaluation.processes import PolicyServer
from hearth.evaluation.run import evaluate_task, shared_server_command
from hearth.evaluation.servers import SharedServerFile
from hearth.serving.record import ServerRecord, write_record

from .conftest import IMAGE_SIZE, TASKS

TASK, NAMES = TASKS[0], ("first", "second")
KEY = "a-key-for-all-shards"


@pytest.fixture
def made(tmp_path: Path, bundle_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes the experiment, whose episodes end after 24 steps, in a folder of its own."""
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "compiled"))
    facts = yaml.safe_load((default_folder() / "household.yaml").read_text())
    next(task for task in facts["tasks"] if task["name"] == TASK)["human_length_frames"] = 12
    (tmp_path / "short.yaml").write_text(yaml.safe_dump(facts))

    def make(folder: str) -> Settings:
        wanted = {"instances": 2, "workers": 1, "video": False, "image_size": IMAGE_SIZE}
        values = {
            "experiment": "e", "results": str(tmp_path / folder), "demonstrations": {},
            "benchmark": str(tmp_path / "short.yaml"), "runs": {"main": {}},
            "runtime": {"flow_steps": 1, "actions_to_execute": 8},
            "evaluations": {
                "first": {**wanted, "split": "public"}, "second": {**wanted, "split": "validation"}
            },
        }  # fmt: skip
        settings = validate_settings(values, source="test")
        place = Results.of(settings).bundle("main")
        place.parent.mkdir(parents=True)
        place.symlink_to(bundle_path)
        return settings

    return make


def episodes_of(settings: Settings, evaluation: str) -> list[dict[str, Any]]:
    """The merged lines, with their traces and without where those lie."""
    merged = merge_task(settings, evaluation, TASK)
    assert merged["complete"]
    root = Results.of(settings).root
    return [{**line, "trace": (root / line["trace"]).read_text()} for line in merged["episodes"]]


def test_both_score_as_with_servers_of_their_own(made: Any, tmp_path: Path) -> None:
    shared = made("shared")
    write_private_json(tmp_path / "keys.yaml", {"shared": KEY})
    words = shared_server_command(shared, "first", "main", 1)
    server = PolicyServer(
        [*words, "--key-file", str(tmp_path / "keys.yaml")], tmp_path / "server.log", 120.0
    )
    policy = identity.policy_hash(shared, "first", TASK)
    record = ServerRecord(*server.address, KEY, policy, "1 here")
    write_record(tmp_path / "record.json", record)
    file, counts = SharedServerFile(str(tmp_path / "record.json"), 60.0), {}

    def play(name: str) -> None:
        counts[name] = evaluate_task(shared, name, TASK, shared_server=file)

    try:
        players = [threading.Thread(target=play, args=[name]) for name in NAMES]
        for player in players:
            player.start()
        for player in players:
            player.join()
        with urllib.request.urlopen("http://{}:{}/metrics".format(*server.address)) as answer:
            metrics = answer.read().decode()
    finally:
        server.stop()
    finished = {"due": 2, "kept": 0, "finished": 2, "crashed": 0}
    assert counts == dict.fromkeys(NAMES, finished)
    assert re.search(r'^hearth_requests_total\{kind="reset"\} 4\.0$', metrics, re.MULTILINE)
    own = made("own")
    for name in NAMES:
        assert evaluate_task(own, name, TASK) == finished
        assert episodes_of(shared, name) == episodes_of(own, name), "bit for bit"
    different = [episodes_of(own, name)[0]["trace"] for name in NAMES]
    assert different[0] != different[1], "the evaluations are of different episodes"
