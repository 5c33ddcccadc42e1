"""Headless Chromium by Playwright, and a results tree with a page to open."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.results_tree import report, write_results

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
# A busy machine: of actions on a page, and of what is expected of it (5 s by default).
PATIENCE_MILLISECONDS = 20_000
expect.set_options(timeout=PATIENCE_MILLISECONDS)
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-sync")


# One per module: Playwright's event loop runs on in this thread, which code that starts a loop of
# its own would trip over.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert CHROMIUM is not None, "the page is tested in Chromium, which `make test` installs"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


class Opened:
    """An open page and what it logged as errors."""

    def __init__(self, page: Page, path: Path) -> None:
        self.page, self.errors = page, []
        page.set_default_timeout(PATIENCE_MILLISECONDS)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._note)
        page.goto(path.as_uri())

    def boards(self) -> Page:
        """The page scrolled to its squares, which are drawn then."""
        self.page.locator("#episodes").scroll_into_view_if_needed()
        self.page.locator("[data-board=trained] .square").first.wait_for()
        return self.page

    def _note(self, message) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(message.text)


@pytest.fixture
def visit(browser):
    """Opens a leaderboard page in a context of its own: ``visit(root, viewport=..., ...)``."""
    contexts = []

    def visit(root: Path, **options) -> Opened:
        context = browser.new_context(**options)
        contexts.append(context)
        return Opened(context.new_page(), root / "leaderboard" / "index.html")

    yield visit
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def results(tmp_path_factory) -> Path:
    """A reported results tree, not to be written to."""
    root = tmp_path_factory.mktemp("results")
    write_results(root)
    report(root)
    return root
