"""What the page loads lazily: files that are one call each, with every episode and comparison."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from synthetic_results import episode, merged, write, write_scores

from hearth.core.files import write_bytes, write_json
from hearth.core.results import Results
from hearth.core.sections import ReportSettings
from hearth.reporting.page_data import ESTIMATE_COLUMNS
from hearth.reporting.tables import write_leaderboard

REPORT = ReportSettings(bootstrap_samples=100)


def read(root: Path, name: str) -> Any:
    """The value that a file hands to the page."""
    text = (root / "leaderboard" / "data" / f"{name}.js").read_text()
    match = re.fullmatch(r'hearth\.receive\("([^"]+)", (.*)\);\n', text, re.DOTALL)
    assert match is not None and match[1] == name
    return json.loads(match[2])


def goals(*states: tuple[str, bool, bool]) -> list[dict[str, Any]]:
    return [{"text": text, "initially": start, "now": end} for text, start, end in states]


def test_episodes_have_their_goals_and_only_files_that_exist(tmp_path):
    video = "evaluation/one/episodes/radio_0_0.mp4"
    write_bytes(tmp_path / video, b"film")
    write_json(Results(tmp_path).episode("one", "radio", 0, 0), {})
    first = goals(("a", False, True), ("b", True, True), ("c", False, False))
    second = goals(("a", True, False), ("d", False, False))
    lines = [
        episode(0, 0.5, video=video, goals=first),
        episode(1, 0.0, video="evaluation/one/episodes/gone.mp4", goals=second),
        episode(2, 1.0),
    ]
    write(tmp_path, merged("one", "radio", lines))
    write_leaderboard(tmp_path, ["one"], ["radio", "trash"], REPORT, seed=0)
    fault = "one: 1 video is missing: gone.mp4"
    for name in ("index.html", "leaderboard.md"):
        assert fault in (tmp_path / "leaderboard" / name).read_text()
    radio, trash = read(tmp_path, "episodes-one")["tasks"]
    assert radio["goals"] == ["a", "b", "c", "d"]
    assert [line["instance"] for line in radio["episodes"]] == [2, 0, 1]  # best first
    assert [line["goals"] for line in radio["episodes"]] == ["", "+=- ", "!  -"]
    assert [line["video"] for line in radio["episodes"]] == [None, f"../{video}", None]
    record = "../evaluation/one/episodes/radio_0_0.json"
    assert [line["record"] for line in radio["episodes"]] == [None, record, None]
    assert ["result" in line for line in radio["episodes"]] == [False, True, True]
    assert trash == {"task": "trash", "goals": [], "episodes": []}


def test_tasks_are_in_the_order_of_their_human_lengths(tmp_path):
    tasks = ["radio", "shelf", "trash"]
    for task in tasks:
        write_scores(tmp_path, "one", task, [1.0])
    lengths = {"radio": 900.0, "trash": 300.0}  # unknown ones come last
    board = write_leaderboard(tmp_path, ["one"], tasks, REPORT, seed=0, human_lengths=lengths)
    assert board.by_duration == ("trash", "radio", "shelf")
    shown = [item["task"] for item in read(tmp_path, "episodes-one")["tasks"]]
    assert shown == ["trash", "radio", "shelf"]


def test_comparisons_are_those_of_the_table(tmp_path):
    write_scores(tmp_path, "one", "radio", [1.0, 0.5, 1.0, 0.0])
    write_scores(tmp_path, "two", "radio", [0.5, 0.0, 0.5, 0.5])
    board = write_leaderboard(tmp_path, ["one", "two"], ["radio"], REPORT, seed=0)
    value = read(tmp_path, "comparisons")
    assert tuple(value["columns"]) == ESTIMATE_COLUMNS
    (pair,) = value["pairs"]
    found = board.comparisons.pairs[0]
    assert (pair["first"], pair["second"]) == ("one", "two")
    row = dict(zip(value["columns"], pair["overall"], strict=True))
    assert abs(row["estimate"] - found.difference.estimate) < 1e-6
    assert (row["instances"], row["more_instances"]) == (4, found.more_instances)
    assert list(pair["tasks"]) == ["radio"]


def test_data_of_evaluations_that_are_gone_is_removed(tmp_path):
    for name in ("one", "two"):
        write_scores(tmp_path, name, "radio", [1.0, 0.5])
    write_leaderboard(tmp_path, ["one", "two"], ["radio"], REPORT, seed=0)
    write_leaderboard(tmp_path, ["one"], ["radio"], REPORT, seed=0)
    names = {path.name for path in (tmp_path / "leaderboard" / "data").iterdir()}
    assert names == {"episodes-one.js"}
