"""The trace of an episode in headless Chromium: loaded from the file system when it is wanted."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from hearth.core.results import Results
from hearth.core.sections import ReportSettings
from hearth.core.traces import trace_path
from hearth.reporting.tables import write_leaderboard
from tests.unit.reporting import synthetic_traces
from tests.unit.reporting.synthetic_film import write_film
from tests.unit.reporting.synthetic_results import episode, merged, write

TASK = "picking_up_trash"
FILMED, GONE, UNTRACED = range(3)  # episodes, in the order of their squares


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("results")
    paths = [Results(root).episode("trained", TASK, i, 0) for i in range(3)]
    places = [*(synthetic_traces.write(root, "trained", TASK, i) for i in (FILMED, GONE)), None]
    lines = [episode(i, 1.0 - 0.5 * i, trace=place) for i, place in enumerate(places)]
    film = paths[FILMED].with_suffix(".mp4")
    write_film(film)
    lines[FILMED]["video"] = film.relative_to(root).as_posix()
    write(root, merged("trained", TASK, lines))
    write_leaderboard(root, ["trained"], [TASK], ReportSettings(), seed=0)
    trace_path(paths[GONE]).unlink()  # somebody moved the page without it
    return root


def show(page, instance: int):
    """Opens an episode; returns the viewer."""
    page.locator("[data-board=trained] .square").nth(instance).click()
    viewer = page.locator("#viewer")
    expect(viewer.locator(".text")).to_contain_text(f"instance {instance},")
    return viewer


def labels(viewer) -> list[str]:
    """What the figures of the trace say to those who do not see them."""
    expect(viewer.locator(".trace svg").first).to_be_visible()
    return [svg.get_attribute("aria-label") for svg in viewer.locator(".trace svg").all()]


def test_stages_chunks_and_compression_are_drawn(root, visit):
    opened = visit(root)
    page = opened.boards()
    expect(page.locator(".trace")).to_have_count(0)
    assert page.evaluate("[...document.scripts].every((s) => !s.src.includes('trace'))")
    viewer = show(page, FILMED)
    assert labels(viewer) == [
        "Stages 0 to 2 over 4.0 s: the vote ends at 2; 2 of 6 predictions name another stage than "
        "the vote; corrections that open a hand: 1.",
        "Distance of each chunk from the actions it continues, at most 0.100 standard deviations.",
        "1 left arm: 26 of 30 predicted actions are used, 4 are kept, and the next chunk starts "
        "beside them.",
        "1 left arm: 26 predicted actions are executed in 20 steps.",
    ]
    counts = {".raw": 6, ".raw.other": 2, ".kept": 4, ".executed": 20}
    assert {each: viewer.locator(each).count() for each in counts} == counts
    shown = viewer.locator(".trace").inner_html()
    assert "right hand opened at 1.3 s" in shown
    assert not re.search("NaN|undefined", shown)
    assert opened.errors == []


def test_another_dimension_and_another_pair_can_be_chosen(root, visit):
    opened = visit(root)
    viewer = show(opened.boards(), FILMED)
    viewer.get_by_label("Dimension").select_option("0 base velocity")
    assert labels(viewer)[2].startswith("0 base velocity: 26 of 30")
    before = viewer.locator(".second[x]").first.get_attribute("y")
    viewer.get_by_label("Dimension").select_option("1 left arm")
    viewer.get_by_label("Two chunks").select_option("at 1.3 s")
    assert labels(viewer)[2].startswith("1 left arm: 26 of 30")
    assert viewer.locator(".second[x]").first.get_attribute("y") != before
    assert opened.errors == []


def test_a_line_follows_the_video(root, visit):
    page = visit(root).boards()
    show(page, FILMED)
    page.wait_for_function("document.querySelector('#viewer video').currentTime > 0.5")
    line = "document.querySelector('.trace .now').x1.baseVal.value"
    page.wait_for_function(f"{line} > 44 + 0.4 / 4 * (520 - 44 - 10)")  # margins of the figure


def test_a_trace_that_is_missing_is_said_and_an_episode_without_one_shows_none(root, visit):
    opened = visit(root)
    page = opened.boards()
    viewer = show(page, UNTRACED)
    expect(viewer.locator(".trace")).to_have_count(0)
    assert opened.errors == []
    page.keyboard.press("Escape")
    viewer = show(page, GONE)
    expect(viewer.locator(".trace")).to_have_text(re.compile(r"_1_0\.trace\.js: it cannot be loa"))
    expect(viewer.locator(".trace svg")).to_have_count(0)


def test_the_figures_fit_a_phone(root, visit):
    page = visit(root, viewport={"width": 320, "height": 800}).boards()
    viewer = show(page, FILMED)
    assert len(labels(viewer)) == 4
    assert viewer.evaluate("node => node.scrollWidth - node.clientWidth") <= 0
