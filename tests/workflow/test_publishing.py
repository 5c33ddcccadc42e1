"""The targets outside of `all`: a challenge's folder, and the upload to a bucket."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from hearth.cli import main
from tests.unit.reporting.official_files import RADIO, write_2026
from tests.unit.reporting.s3_server import S3Server
from tests.workflow.conftest import ROOT, Workflow

pytestmark = pytest.mark.workflow

FOLDER = "standard.public.Our_Team.Here.20261121"
FIELDS = {"team": "Our Team", "affiliation": "Here", "date": 20261121}
OTHERS = {
    "README.md": "How to evaluate.\n",
    "r1pro.yaml": "model: r1pro\n",
    "wrapper.py": "W = 1\n",
}


@pytest.fixture
def workflow(tmp_path: Path) -> Workflow:
    """A board of imported results alone, of a benchmark with one task."""
    values = yaml.safe_load((ROOT / "config/benchmarks/behavior-2026.yaml").read_text())
    values["tasks"] = [task for task in values["tasks"] if task["name"] == RADIO]
    (tmp_path / "benchmark.yaml").write_text(yaml.safe_dump(values))
    for name, text in OTHERS.items():
        (tmp_path / name).write_text(text)
    config = {
        "experiment": "small", "benchmark": str(tmp_path / "benchmark.yaml"),
        "data": {"dataset": str(tmp_path / "none")}, "report": {"bootstrap_samples": 200},
        "submission": {
            "evaluation": "comet", **FIELDS, "wrappers": ["wrapper.py"],
            "robot_config": "r1pro.yaml", "readme": "README.md",
        },
    }  # fmt: skip
    workflow = Workflow(tmp_path)
    workflow.config.write_text(yaml.safe_dump(config))
    write_2026(tmp_path / "elsewhere", RADIO, dict.fromkeys(range(301, 311), 0.5))
    command = ["import-results", str(tmp_path / "elsewhere"), "--name", "comet"]
    options = ["--config", str(workflow.config), "--set", f"results={tmp_path / 'results'}"]
    assert main([*command, *options]) == 0
    return workflow


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    server = S3Server()
    server.make_bucket("robots")
    yield server
    server.close()


def test_the_folder_of_a_challenge_is_a_target(workflow: Workflow) -> None:
    readme = workflow.folder / "README.md"
    readme.write_text("")
    result = workflow.run("submission")
    assert result.returncode != 0
    assert f"missing: README: {readme.name} does not exist or is empty" in result.stderr
    marker = workflow.results / "submission" / "complete.json"
    assert not marker.exists()
    # Mended, the folder that was incomplete is written anew.
    readme.write_text(OTHERS["README.md"])
    result = workflow.run("submission")
    assert result.returncode == 0, result.stderr[-4000:]
    assert json.loads(marker.read_text())["folder"] == FOLDER
    folder = marker.parent / FOLDER
    assert (folder / "README.md").read_text() == OTHERS["README.md"]
    assert len(list((folder / "json").iterdir())) == 10
    assert workflow.planned("submission") == set()
    assert workflow.planned("submission", overrides="submission.date=20261122") == {"submission"}
    # What a person changed in it is not lost.
    (folder / "README.md").write_text("Edited by hand.\n")
    result = workflow.run("submission", "--force")
    assert result.returncode != 0 and "is not as it was written" in result.stderr
    assert (folder / "README.md").read_text() == "Edited by hand.\n"


def test_an_upload_goes_last_and_goes_on_after_a_fault(
    workflow: Workflow, server: S3Server
) -> None:
    to = f"upload.to=s3://robots/board upload.endpoint_url={server.url} upload.submission=true"
    assert workflow.planned("upload", overrides=to) == {"leaderboard", "submission", "upload"}
    assert workflow.planned(overrides=to) == {"leaderboard"}, "no part of all"
    server.refused = f"{RADIO}_305_0.mp4"
    result = workflow.run("upload", overrides=to)
    assert result.returncode != 0 and "does not let these credentials send" in result.stderr
    marker = workflow.results / "uploaded.json"
    assert not marker.exists()
    before = set(server.puts("robots"))
    server.clear()
    result = workflow.run("upload", overrides=to)
    assert result.returncode == 0, result.stderr[-4000:]
    sent = server.puts("robots")
    assert f"board/evaluation/comet/official/videos/{RADIO}_305_0.mp4" in sent
    assert sent[-1] == "board/leaderboard/index.html"
    assert f"board/submission/{FOLDER}/SHA256SUMS" in before | set(sent)
    assert json.loads(marker.read_text())["files"] == len(before | set(sent))
    assert workflow.planned("upload", overrides=to) == set()
    elsewhere = to.replace("/board", "/other") + " report.title=Other"
    assert workflow.planned("upload", overrides=elsewhere) == {"leaderboard", "upload"}


@pytest.mark.parametrize("name", ["test", "demo", "household", "behavior-2025", "behavior-2026"])
def test_every_configuration_plans_them(name: str, tmp_path: Path) -> None:
    workflow = Workflow(tmp_path)
    values = yaml.safe_load((ROOT / f"config/{name}.yaml").read_text())
    expected = {"train", "evaluate", "leaderboard", "upload"}
    values["upload"] = {"to": "s3://robots/board"}
    if "evaluator" in values:
        values["upload"]["submission"] = True
        values["submission"] = {"evaluation": "public", **FIELDS}
        expected.add("submission")
        index = tmp_path / "data" / "meta" / "info.json"
        index.parent.mkdir(parents=True)
        index.write_text("{}")
        values["data"]["dataset"] = str(tmp_path / "data")
        # The plan of a few tasks is the plan of all.
        values["tasks"] = [RADIO, "can_meat"]
        values.pop("finetuning", None)
        values["evaluations"].pop("finetuned", None)
    workflow.config.write_text(yaml.safe_dump(values))
    assert expected <= workflow.planned("upload")


def test_without_a_section_it_says_what_to_set(workflow: Workflow) -> None:
    for target, parts in (
        ("upload", ["needs a section 'upload'", "s3://bucket/prefix"]),
        ("submission", ["submission.evaluation 'commet'", "did you mean 'comet'"]),
    ):
        result = workflow.run(target, "-n", overrides="submission.evaluation=commet")
        assert result.returncode != 0
        for part in parts:
            assert part in result.stdout + result.stderr
    values = yaml.safe_load(workflow.config.read_text())
    del values["submission"]
    workflow.config.write_text(yaml.safe_dump(values))
    result = workflow.run("submission", "-n")
    assert result.returncode != 0
    assert "needs a section 'submission'" in result.stdout + result.stderr
