"""Two evaluations against each other, chosen in the page."""

from __future__ import annotations

import csv

import pytest
from playwright.sync_api import expect

MINUS = "\N{MINUS SIGN}"


@pytest.fixture
def page(results, visit):
    opened = visit(results)
    opened.page.locator("#compare-form").scroll_into_view_if_needed()
    expect(opened.page.locator("#compare-result table")).to_be_visible()
    yield opened.page
    assert opened.errors == []


def choose(page, first: str, second: str) -> None:
    form = page.locator("#compare-form")
    form.get_by_label("First").select_option(first)
    form.get_by_label("Second").select_option(second)


def test_the_numbers_are_those_of_the_comparisons(results, page):
    with (results / "leaderboard" / "comparisons.csv").open(newline="") as file:
        rows = {row["task"]: row for row in csv.DictReader(file)}
    verdict = page.locator("#compare-result .verdict").inner_text()
    overall = rows[""]
    assert f"+{float(overall['difference']):.3f} in q" in verdict
    limits = f"+{float(overall['difference_low']):.3f} to +{float(overall['difference_high']):.3f}"
    assert limits in verdict and "26 public instances of 2 tasks" in verdict
    assert ("not told apart" in verdict) is (overall["told_apart"] == "no")
    lines = page.locator("#compare-result tbody tr")
    assert lines.count() == 2
    for line in lines.all():
        cells = line.locator("td").all_inner_texts()
        row = rows[line.locator("th").inner_text().splitlines()[0].replace(" ", "_")]
        assert f"+{float(row['difference']):.3f}" in cells[2]
        p = float(row["p_holm"])
        assert cells[3] == ("p < 0.001" if p < 0.001 else f"p = {p:.3f}")
    # (6 of 13 points) against (0.5 of 13): the means on the shared instances.
    assert lines.first.locator("td").all_inner_texts()[:2] == ["0.462", "0.038"]


def test_the_other_way_round_turns_the_signs(page):
    there = page.locator("#compare-result .verdict strong").first.inner_text()
    choose(page, "untrained", "trained")
    back = page.locator("#compare-result .verdict strong").first
    expect(back).to_have_text(there.replace("+", MINUS))
    expect(page.locator("#compare-episodes thead th").nth(1)).to_have_text("untrained")


def test_what_cannot_be_compared_is_said(page):
    result = page.locator("#compare-result")
    choose(page, "trained", "trained")
    expect(result).to_have_text("Choose two different evaluations.")
    choose(page, "trained", "held_out")
    expect(result).to_have_text(
        "trained (public) and held_out (hidden) share no episode of one split."
    )
    expect(page.locator("#compare-episodes")).to_be_hidden()


def test_episodes_side_by_side(page):
    rows, count = page.locator("#compare-episodes tbody tr"), page.locator("#compare-count")
    expect(rows).to_have_count(26)
    page.get_by_label("only those that differ in q").check()
    expect(count).to_have_text("18 episodes of 26")  # 8 of 12 above zero, and the half of the 13th
    page.locator("#compare-form").get_by_label("Episodes of").select_option("picking_up_trash")
    expect(count).to_have_text("9 episodes of 26")
    expect(rows.first.locator("td").nth(2)).to_have_text("+1.000")
    rows.first.locator(".square").first.click()
    panels = page.locator("#viewer .panel")
    expect(panels).to_have_count(2)
    expect(panels.nth(0).locator("video")).to_have_count(1)
    expect(panels.nth(1).locator(".novideo")).to_be_visible()
    expect(page.locator("#viewer .place")).to_have_text("1 of 9")
    page.get_by_role("button", name="Next").click()
    expect(panels.nth(0).locator(".text")).to_contain_text("instance 1, rollout 0")
