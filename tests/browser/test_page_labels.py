"""Failure labels: picked in the page, saved as a file, read by the next report."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import expect

from hearth.core.results import Results
from tests.browser.results_tree import report, write_results

# Stands in for the browser's own dialog, which no test can click.
PICKER = """
window.written = [];
window.showSaveFilePicker = async ({ suggestedName }) => ({
  createWritable: async () => ({
    write: async (text) => window.written.push([suggestedName, text]),
    close: async () => window.written.push("closed"),
  }),
});
"""
NO_PICKER = "delete window.showSaveFilePicker; window.showSaveFilePicker = undefined;"


@pytest.fixture
def labelling(results, visit):
    """The page with the viewer on the first failure of `trained` that has no label."""

    def labelling(script: str, root=results):
        opened = visit(root)
        opened.page.evaluate(f"() => {{ {script} }}")
        opened.page.get_by_role("button", name="Label failures of trained").click()
        expect(opened.page.locator("#viewer .place")).to_have_text("1 of 16")
        return opened

    return labelling


def pick(page, *reasons: str) -> None:
    for reason in reasons:
        page.locator("#viewer").get_by_label(reason, exact=True).check()


def test_labels_are_downloaded_and_enter_the_next_report(labelling, visit, tmp_path):
    write_results(tmp_path)
    report(tmp_path)
    opened = labelling(NO_PICKER, tmp_path)
    page, viewer = opened.page, opened.page.locator("#viewer")
    pick(page, "Dexterity", "Robot stuck")
    page.get_by_role("button", name="Next").click()
    pick(page, "Dexterity")
    viewer.get_by_label("Note").fill('drops "it" <twice>')
    expect(viewer.locator("output")).to_have_text("2 labels of trained not in a file yet")
    page.get_by_role("button", name="Save labels").click()
    expect(viewer.locator("output")).to_contain_text("2 labels")  # no name yet: nothing is saved
    viewer.get_by_label("Your name").fill("Ana B.")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save labels").click()
    expect(viewer.locator("output")).to_contain_text("put it into evaluation/trained/labels/")
    name = download.value.suggested_filename
    assert name.startswith("labels-ana-b-") and name.endswith(".json")
    folder = Results(tmp_path).labels("trained")
    folder.mkdir()
    download.value.save_as(folder / name)
    assert opened.errors == []

    report(tmp_path)
    page = visit(tmp_path).page
    table = page.locator("#failures table")
    assert [text.splitlines()[0] for text in table.locator("tbody th").all_inner_texts()] == [
        "Dexterity", "Robot stuck",
    ]  # fmt: skip
    assert table.locator("tbody .value").all_inner_texts() == ["100 %", "50 %"]
    expect(table.locator("thead")).to_contain_text("2 of 16 failures labelled by Ana B.")
    page.get_by_role("button", name="Label failures of trained").click()
    expect(page.locator("#viewer .place")).to_have_text("1 of 14")
    page.keyboard.press("Escape")
    page.locator("#episode-filter").get_by_label("Labels").select_option("some")
    items = page.locator("#episode-list > li")
    expect(items).to_have_count(2)
    items.nth(1).locator(".square").click()
    expect(page.locator("#viewer .label")).to_contain_text('Ana B.: Dexterity (drops "it" <twice>)')


def test_labels_go_where_the_person_chooses(labelling):
    opened = labelling(PICKER)
    page = opened.page
    pick(page, "Search")
    page.get_by_label("Your name").fill("Ana")
    page.get_by_role("button", name="Save labels").click()
    expect(page.locator("#viewer output")).to_contain_text("1 label saved as labels-ana-")
    (name, text), closed = page.evaluate("window.written")
    content = json.loads(text)
    assert closed == "closed" and name.endswith(".json")
    assert (content["evaluation"], content["labeller"]) == ("trained", "Ana")
    (label,) = content["labels"]
    assert (label["task"], label["instance_id"], label["reasons"]) == (
        "turning_on_radio", 1, ["search"],
    )  # fmt: skip
    assert opened.errors == []


def test_a_dialog_that_is_closed_saves_nothing(labelling):
    script = "window.showSaveFilePicker = async () => { throw new DOMException('', 'AbortError'); }"
    page = labelling(script).page
    pick(page, "Search")
    page.get_by_label("Your name").fill("Ana")
    page.get_by_role("button", name="Save labels").click()
    expect(page.locator("#viewer output")).to_have_text("1 label of trained not in a file yet")


def test_labels_outlive_a_reload(labelling):
    opened = labelling(PICKER)
    page = opened.page
    pick(page, "Order", "Unknown")
    page.locator("#viewer").get_by_label("Unknown").uncheck()
    page.reload()
    opened.boards()
    page.locator("[data-board=trained] .square.partial").first.click()
    viewer = page.locator("#viewer")
    expect(viewer.get_by_label("Order", exact=True)).to_be_checked()
    expect(viewer.get_by_label("Unknown")).not_to_be_checked()
    expect(viewer.locator("output")).to_have_text("1 label of trained not in a file yet")


def test_a_success_takes_no_label(results, visit):
    page = visit(results).boards()
    page.locator("[data-board=trained] .square.success").first.click()
    expect(page.locator("#viewer .panel")).to_be_visible()
    expect(page.locator("#viewer fieldset")).to_have_count(0)
    expect(page.locator("#viewer .saving")).to_be_hidden()
