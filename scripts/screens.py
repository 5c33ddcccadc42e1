"""Screens of a leaderboard page: wide, narrow (a phone), and an episode in the dark.

    .venv/bin/python scripts/screens.py results/demo docs/images --episode trained \\
        --task moving_boxes_to_storage

Needs what `make test` installs: Playwright and Chromium. docs/images shows the demo
with one imported folder of results (docs/leaderboard.md).
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from hearth.core.results import Results

_SETTLE_MILLISECONDS = 500
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
WIDE: dict[str, Any] = {"viewport": {"width": 1280, "height": 860}}
DARK: dict[str, Any] = {"viewport": {"width": 1280, "height": 1240}, "color_scheme": "dark"}
NARROW: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2}


def main() -> int:
    """Take the screens; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path, help="the folder of an experiment with a leaderboard")
    parser.add_argument("output", type=Path, help="where the pictures go")
    parser.add_argument("--episode", required=True, help="an evaluation with videos and traces")
    parser.add_argument("--task", required=True, help="its best episode of this task is opened")
    options = parser.parse_args()
    page = Results(options.results.absolute()).leaderboard / "index.html"
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if not page.is_file() or chromium is None:
        print(f"needs {page} and chromium", file=sys.stderr)
        return 1
    options.output.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        _take(browser, page, options.output / "leaderboard-wide.png", WIDE)
        _take(browser, page, options.output / "leaderboard-narrow.png", NARROW)
        picture, episode = options.output / "episode-dark.jpg", (options.episode, options.task)
        _take(browser, page, picture, DARK, episode)
        browser.close()
    return 0


def _take(
    browser: Browser,
    page: Path,
    picture: Path,
    look: dict[str, Any],
    episode: tuple[str, str] | None = None,
) -> None:
    context = browser.new_context(**look)
    opened = context.new_page()
    opened.goto(page.as_uri())
    if episode is not None:
        _open_episode(opened, *episode)
    opened.wait_for_timeout(_SETTLE_MILLISECONDS)
    opened.screenshot(path=picture, **({"quality": 80} if picture.suffix == ".jpg" else {}))
    context.close()
    print(f"{picture}: {picture.stat().st_size / 1e3:.0f} kB")


def _open_episode(page: Page, evaluation: str, task: str) -> None:
    """The best episode of a task, its film at the middle and its trace drawn."""
    page.locator("#episodes").scroll_into_view_if_needed()
    board = page.locator(f"[data-board={evaluation}] tr", has_text=task.replace("_", " "))
    board.locator(".square").first.click()
    viewer = page.locator("#viewer")
    viewer.locator(".trace svg").first.wait_for()
    # Seeking needs the film's length, which comes with its first bytes.
    page.wait_for_function("() => document.querySelector('#viewer video').readyState >= 2")
    film = viewer.locator("video").first
    film.evaluate("film => { film.pause(); film.currentTime = film.duration / 2; }")
    page.wait_for_function("() => !document.querySelector('#viewer video').seeking")


if __name__ == "__main__":
    sys.exit(main())
