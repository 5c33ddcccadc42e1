"""The leaderboard page in headless Chromium, opened from the file system."""

from __future__ import annotations

import re
import shutil

from playwright.sync_api import expect

from tests.browser.results_tree import SCORES, TASKS


def test_opens_without_errors_and_has_all_rows(results, visit):
    opened = visit(results)
    page = opened.page
    rows = page.locator("#leaderboard tbody tr:not(.group) th")
    assert [text.split()[0] for text in rows.all_inner_texts()] == [
        "trained", "untrained", "held_out",
    ]  # fmt: skip
    page.locator("#episodes").scroll_into_view_if_needed()
    expect(page.locator("#episodes .boards .square")).to_have_count(2 * (13 + 13 + 6))
    expect(page.locator(".banner")).to_contain_text("INCOMPLETE")
    assert opened.errors == []


def test_an_error_or_a_missing_file_would_be_seen(results, visit):
    opened = visit(results)
    opened.page.evaluate("document.body.append(Object.assign(new Image(), {src: 'nowhere.svg'}))")
    opened.page.evaluate("setTimeout(() => undefined_function())")
    opened.page.wait_for_timeout(300)
    assert any("undefined_function is not defined" in error for error in opened.errors)
    assert any("ERR_FILE_NOT_FOUND" in error for error in opened.errors)


def test_a_square_plays_its_video_and_shows_its_goals(results, visit):
    opened = visit(results)
    page = opened.boards()
    page.locator("[data-board=trained] a.square.partial").first.click()
    viewer = page.locator("#viewer")
    expect(viewer.locator("h2")).to_have_text("turning on radio")
    expect(viewer.locator(".text")).to_have_text(
        "instance 1, rollout 0: timeout, q 0.50, 400 steps"
    )
    page.wait_for_function("document.querySelector('#viewer video').currentTime > 0.1")
    assert viewer.locator(".goals li").all_inner_texts() == [
        "missed toggled_on radio", "held from the start on_top radio table",
    ]  # fmt: skip
    record = viewer.locator(".record a").get_attribute("href")
    assert record == "../evaluation/trained/episodes/turning_on_radio_1_0.json"
    viewer.get_by_role("button", name="Next").click()
    expect(viewer.locator(".text")).to_contain_text("instance 4")
    page.keyboard.press("Escape")
    expect(viewer).to_be_hidden()
    assert opened.errors == []


def test_an_episode_without_a_result_says_why(results, visit):
    page = visit(results).boards()
    page.locator("[data-board=trained] .square.absent").first.click()
    expect(page.locator("#viewer .text")).to_have_text(
        "instance 12, rollout 0: missing (not run yet)"
    )
    expect(page.locator("#viewer .novideo")).to_be_visible()
    expect(page.locator("#viewer fieldset")).to_have_count(0)


def test_filters_of_the_episode_list(results, visit):
    opened = visit(results)
    page = opened.page
    count, items = page.locator("#episode-count"), page.locator("#episode-list > li")
    form = page.locator("#episode-filter")
    form.scroll_into_view_if_needed()
    expect(count).to_have_text("26 episodes of 26")
    form.locator("[name=task]").select_option(TASKS[0])
    expect(count).to_have_text("13 episodes of 26")
    form.get_by_label("Outcome").select_option("partial")
    expect(items).to_have_count(SCORES.count(0.5))
    items.first.locator("summary").click()
    expect(items.first.locator(".goals .missed")).to_have_text("missed toggled_on radio")
    form.get_by_label("Outcome").select_option("")
    form.get_by_label("Missed goal").select_option("on_top radio table")
    expect(count).to_have_text("4 episodes of 26")  # q 0: held at the start and lost
    form.locator("[name=task]").select_option("")
    expect(count).to_have_text("26 episodes of 26")
    form.get_by_label("with a video").check()
    expect(count).to_have_text("24 episodes of 26")
    form.get_by_label("Evaluation").select_option("untrained")
    expect(count).to_have_text("0 episodes of 26")
    assert opened.errors == []


def test_data_that_cannot_be_loaded_is_told_in_its_place(results, visit, tmp_path):
    root = tmp_path / "results"
    shutil.copytree(results, root)
    (root / "leaderboard" / "data" / "episodes-untrained.js").unlink()
    page = visit(root).page
    board = page.locator("[data-board=untrained]")
    board.scroll_into_view_if_needed()
    expect(board.get_by_role("alert")).to_have_text(
        "data/episodes-untrained.js could not be loaded"
    )
    expect(page.locator("[data-board=trained] .square")).to_have_count(26)


def test_what_is_not_needed_at_once_is_loaded_later(results, visit):
    page = visit(results, viewport={"width": 1280, "height": 300}).page
    loaded = "[...document.scripts].map(script => script.getAttribute('src')).filter(Boolean)"
    assert page.evaluate(loaded) == []
    page.locator("#episodes").scroll_into_view_if_needed()
    expect(page.locator("[data-board=trained] .square")).to_have_count(26)
    assert any(re.search("episodes-trained", name) for name in page.evaluate(loaded))
