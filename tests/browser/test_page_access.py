"""The page at phone width, in the dark, by keyboard, and for those who hear it read."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

# Relative luminance and contrast as the Web Content Accessibility Guidelines 2.1 define them.
CONTRASTS = """
() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (node) => {
    for (let each = node; each; each = each.parentElement) {
      const colour = parse(getComputedStyle(each).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const node of document.querySelectorAll("p, th, td, small, label, a, dd, li, button, h2")) {
    if (!node.innerText || node.closest(".square, .skip, tr.main")) continue;
    const [a, b] = [getComputedStyle(node).color, ground(node)].map((c) =>
      luminance(typeof c === "string" ? parse(c) : c));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    found.push([ratio, node.tagName, node.innerText.slice(0, 30)]);
  }
  return found;
}
"""
UNNAMED = """
() => [...document.querySelectorAll("img, video, svg[role=img], a, button, input, select, table")]
  .filter((node) => !(node.getAttribute("alt") || node.getAttribute("aria-label")
    || node.labels?.length || node.querySelector("caption") || node.innerText?.trim()
    || node.textContent?.trim()))
  .map((node) => node.outerHTML.slice(0, 120))
"""


def show_everything(page) -> None:
    """Load what is loaded lazily, and open the viewer on a failure."""
    page.locator("#episode-filter").scroll_into_view_if_needed()
    expect(page.locator("#episode-list > li").first).to_be_visible()
    page.locator("#compare-form").scroll_into_view_if_needed()
    expect(page.locator("#compare-episodes tbody tr").first).to_be_visible()
    page.locator("[data-board=trained] .square.failure").first.click()
    expect(page.locator("#viewer fieldset")).to_be_visible()


@pytest.mark.parametrize("density", [1, 2])
def test_the_bars_of_a_card_are_equally_long_on_a_phone(results, visit, density):
    phone = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": density}
    page = visit(results, **phone).page
    cards = page.locator("#leaderboard tr:has(svg.bar)")
    lengths = "card => [...card.querySelectorAll('svg.bar')].map((bar) => bar.clientWidth)"
    for card in cards.all():
        assert len(set(card.evaluate(lengths))) == 1


@pytest.mark.parametrize("width", [1280, 720, 390, 320])
def test_nothing_sticks_out_sideways(results, visit, width):
    page = visit(results, viewport={"width": width, "height": 800}).page
    show_everything(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    viewer = page.locator("#viewer")
    assert viewer.evaluate("node => node.scrollWidth - node.clientWidth") <= 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(results, visit, scheme):
    page = visit(results, color_scheme=scheme).page
    show_everything(page)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(21, 24, 27)") is (scheme == "dark")
    contrasts = page.evaluate(CONTRASTS)
    assert len(contrasts) > 100
    assert [each for each in contrasts if each[0] < 4.5] == []


def test_everything_has_a_name_to_be_read_out(results, visit):
    page = visit(results).page
    show_everything(page)
    assert page.evaluate(UNNAMED) == []
    page.evaluate("document.body.append(document.createElement('img'))")
    assert len(page.evaluate(UNNAMED)) == 1  # one without a name would be found
    assert page.evaluate("new Set([...document.querySelectorAll('[id]')].map(n => n.id)).size") == (
        page.locator("[id]").count()
    )


def test_by_keyboard_from_the_top_to_an_episode_and_back(results, visit):
    page = visit(results).page
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the leaderboard")).to_be_focused()
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#leaderboard"
    page.locator("#episodes").scroll_into_view_if_needed()
    square = page.locator("[data-board=trained] .square.failure").first
    square.focus()
    page.keyboard.press("Enter")
    viewer = page.locator("#viewer")
    expect(viewer).to_be_visible()
    box = viewer.get_by_label("Dexterity")
    for _ in range(12):
        if box.evaluate("node => node === document.activeElement"):
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(box).to_be_checked()
    page.keyboard.press("Escape")
    expect(viewer).to_be_hidden()
    expect(square).to_be_focused()
