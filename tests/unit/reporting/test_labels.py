"""Failure labels: what counts, what is a fault and says so, and the shares of the reasons."""

from __future__ import annotations

import json
import re

import pytest
from synthetic_results import episode, merged, write

from hearth.core.errors import SettingsError
from hearth.core.files import write_json, write_text
from hearth.core.results import Results
from hearth.core.sections import ReportSettings
from hearth.reporting.labels import LABEL_FORMAT, load_reasons, read_labels, result_hash
from hearth.reporting.merged_files import load_evaluation
from hearth.reporting.tables import write_leaderboard

REASONS = load_reasons()


@pytest.fixture
def root(tmp_path):
    lines = [episode(i, q) for i, q in enumerate([0.0, 0.5, 0.5, 1.0])]
    write(tmp_path, merged("trained", "radio", [*lines, episode(4, None, "crashed")]))
    return tmp_path


def label(root, instance: int, *reasons: str, **more) -> dict:
    """A label as the page writes it."""
    result = load_evaluation(root, "trained", ["radio"]).results["radio"]
    found = next(each for each in result.episodes if each.instance_id == instance)
    return {
        "task": "radio", "instance_id": instance, "rollout_id": 0, "reasons": list(reasons),
        "result": result_hash(result, found), "note": "", "saved": "2026-01-02T03:04:05.678Z",
        **more,
    }  # fmt: skip


def save(root, found: list, name: str = "one", **more) -> None:
    content = {
        "format": LABEL_FORMAT, "evaluation": "trained", "labeller": "Ana", "labels": found,
    }  # fmt: skip
    write_json(Results(root).labels("trained") / f"{name}.json", content | more)


def read(root):
    return read_labels(root, load_evaluation(root, "trained", ["radio"]), REASONS)


def test_shares_are_of_the_labelled_failures(root):
    save(root, [label(root, 0, "dexterity", "order"), label(root, 1, "dexterity")])
    found, faults = read(root)
    assert faults == ()
    assert (found.failures, found.labelled, found.labellers) == (3, 2, ("Ana",))
    assert found.episodes("dexterity") == 2.0
    assert [found.share(name) for name in ("dexterity", "order", "search")] == [1.0, 0.5, 0.0]


def test_people_who_differ_share_an_episode(root):
    save(root, [label(root, 0, "dexterity")], "one")
    save(root, [label(root, 0, "search")], "two", labeller="Ben")
    found, _ = read(root)
    assert found.labelled == 1
    assert found.share("dexterity") == found.share("search") == 0.5


def test_the_later_label_of_a_person_stands_whatever_the_file(root):
    save(root, [label(root, 0, "search", saved="2026-01-03T00:00:00Z")], "a")
    save(root, [label(root, 0, "order", saved="2026-01-03T00:30:00+02:00")], "b")
    found, _ = read(root)
    assert found.episodes("search") == 1.0 and found.episodes("order") == 0.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reasons": ["dexterit"]}, "unknown reason 'dexterit': did you mean 'dexterity'"),
        ({"reasons": []}, "reasons: "),
        ({"task": "raido"}, "unknown task 'raido': did you mean 'radio'"),
        ({"instance_id": 9}, "radio, instance 9, rollout 0 is not an episode"),
        ({"instance_id": "0"}, "instance_id: Input should be a valid integer"),
        ({"rollout_id": 1}, "rollout 1 is not an episode"),
        ({"instance_id": 3}, "instance 3, rollout 0 is no failure: its status is 'success'"),
        ({"instance_id": 4}, "is no failure: its status is 'crashed'"),
        ({"result": "0000"}, "has another result than the one that was watched"),
        ({"saved": "yesterday"}, "saved: "),
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
    ],
)
def test_a_bad_label_is_a_fault_and_the_others_count(root, change, message):
    save(root, [label(root, 0, "search") | change, label(root, 1, "order")])
    found, (fault,) = read(root)
    assert fault.startswith("evaluation/trained/labels/one.json: label 1: ")
    assert message in fault
    assert list(found.labels) == [("radio", 1, 0)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "2"}, f"has format '2', expected '{LABEL_FORMAT}'"),
        ({"evaluation": "other"}, "labels 'other' but lies in 'trained'"),
        ({"labeller": " "}, "labeller: "),
        ({"labels": {}}, "labels: Input should be a valid list"),
    ],
)
def test_a_bad_file_is_a_fault_and_the_others_count(root, change, message):
    save(root, [label(root, 0, "search")], "bad", **change)
    save(root, [label(root, 1, "order")], "good")
    found, (fault,) = read(root)
    assert fault.startswith("evaluation/trained/labels/bad.json") and message in fault
    assert list(found.labels) == [("radio", 1, 0)]


def test_half_a_file_and_a_doubled_label_are_faults(root):
    folder = Results(root).labels("trained")
    save(root, [label(root, 0, "search"), label(root, 0, "order")], "one")
    write_text(folder / "two.json", json.dumps({"format": LABEL_FORMAT})[:-3])
    found, faults = read(root)
    assert "label 2: radio, instance 0, rollout 0 is labelled twice in this file" in faults[0]
    assert re.search(r"two\.json is not valid JSON", faults[1])
    assert found.episodes("search") == 1.0


def test_a_report_has_the_shares_and_the_faults(root):
    save(root, [label(root, 0, "search"), label(root, 1, "nothing")])
    board = write_leaderboard(
        root, ["trained"], ["radio"], ReportSettings(bootstrap_samples=100), seed=0
    )
    assert "unknown reason 'nothing'" in "".join(board.faults)
    lines = (root / "leaderboard" / "failures.csv").read_text().splitlines()
    assert lines[0] == "evaluation,split,reason,episodes,share,labelled,failures"
    assert "trained,public,search,1.000000,1.000000,1,3" in lines
    assert len(lines) == 1 + len(REASONS)
    assert "unknown reason &#39;nothing&#39;" in (root / "leaderboard/index.html").read_text()


def test_reasons_are_data(tmp_path):
    assert REASONS[0].name == "dexterity" and len(REASONS) == 13
    path = tmp_path / "reasons.yaml"
    entry = "- {name: order, title: Order, description: Wrong order.}\n"
    path.write_text(f"reasons:\n{entry}{entry}")
    with pytest.raises(SettingsError, match="names order twice"):
        load_reasons(path)
    path.write_text("reasons: []\n")
    with pytest.raises(SettingsError, match=r"reasons\.yaml holds no valid failure reasons"):
        load_reasons(path)
