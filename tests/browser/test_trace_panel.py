"""The trace of an episode in headless Chromium: loaded from the file system when it is wanted."""

from __future__ import annotations

import re

import pytest

from hearth.core.files import write_json
from hearth.core.results import Results
from hearth.core.sections import ReportSettings
from hearth.reporting.tables import write_leaderboard
from tests.browser.test_leaderboard_page import open_page, probe
from tests.unit.reporting import synthetic_traces
from tests.unit.reporting.synthetic_results import episode, merged, write

TASK = "picking_up_trash"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("results")
    places = [synthetic_traces.write(root, "trained", TASK, 0), "evaluation/nowhere.trace.js", None]
    lines = [episode(i, 1.0 - 0.5 * i, trace=place) for i, place in enumerate(places)]
    for instance in range(3):
        write_json(Results(root).episode("trained", TASK, instance, 0), {"q": instance})
    write(root, merged("trained", TASK, lines))
    write_leaderboard(root, ["trained"], [TASK], ReportSettings(), seed=0)
    return root


def panel(root, tmp_path, instance: int, then: str = "") -> tuple[str, str]:
    """What the panel of an episode holds, and the console."""
    script = f"""
      const squares = document.querySelectorAll("a.square");
      document.body.dataset.before = document.querySelectorAll(".trace svg").length;
      squares[{instance}].click();
      setTimeout(() => {{ {then} }}, 1000);
    """
    dom, console = open_page(probe(root, script), tmp_path)
    assert 'data-before="0"' in dom
    return dom.split('class="trace"')[1].split("</dialog>")[0], console


def test_stages_chunks_and_compression_are_drawn(root, tmp_path):
    shown, console = panel(root, tmp_path, 0)
    assert console == ""
    labels = re.findall(r'<svg[^>]* aria-label="([^"]*)"', shown)
    assert labels == [
        "Stages 0 to 2 over 4.0 s: the vote ends at 2; 2 of 6 predictions name another stage than "
        "the vote; corrections that open a hand: 1.",
        "Distance of each chunk from the actions it continues, at most 0.100 standard deviations.",
        "1 left arm: 26 of 30 predicted actions are used, 4 are kept, and the next chunk starts "
        "beside them.",
        "1 left arm: 26 predicted actions are executed in 20 steps.",
    ]
    assert shown.count('class="raw other"') == 2 and shown.count('class="raw"') == 4
    assert "right hand opened at 1.3 s" in shown
    assert shown.count('class="kept"') == 4 and shown.count('class="executed"') == 20
    assert "NaN" not in shown and "undefined" not in shown


def test_another_dimension_and_another_pair_can_be_chosen(root, tmp_path):
    then = """
      const selects = document.querySelectorAll(".trace select");
      document.body.dataset.pairs = [...selects[0].options].map((o) => o.textContent).join(",");
      selects[1].value = "0";
      selects[1].dispatchEvent(new Event("change"));
    """
    shown, console = panel(root, tmp_path, 0, then)
    assert console == ""
    assert 'aria-label="0 base velocity: 26 of 30' in shown


def test_a_trace_that_is_missing_is_said_and_an_episode_without_one_shows_none(root, tmp_path):
    shown, _ = panel(root, tmp_path / "a", 1)
    assert "nowhere.trace.js: it cannot be loaded." in shown and "<svg" not in shown
    shown, console = panel(root, tmp_path / "b", 2)
    assert "<svg" not in shown and "Trace" not in shown and console == ""
