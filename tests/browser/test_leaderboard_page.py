"""The leaderboard page in headless Chromium, opened from the file system."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from hearth.core.files import write_json
from hearth.core.results import Results
from hearth.core.sections import ReportSettings
from hearth.reporting.tables import write_leaderboard
from tests.unit.reporting.synthetic_results import episode, merged, write, write_scores

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
if CHROMIUM is None and not os.environ.get("CI"):
    pytest.skip("no Chromium on this machine", allow_module_level=True)

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--enable-logging=stderr", "--virtual-time-budget=3000",
)  # fmt: skip


def open_page(page: Path, profile: Path, *flags: str) -> tuple[str, str]:
    """The page's DOM after its scripts ran, and what it logged to the console."""
    assert CHROMIUM is not None, "CI needs Chromium (apt-get install chromium)"
    command = [CHROMIUM, *FLAGS, *flags, f"--user-data-dir={profile}", "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=True)
    return done.stdout, "\n".join(re.findall(r".*CONSOLE.*", done.stderr))


def probe(root: Path, script: str) -> Path:
    """A copy of the page that runs `script` when it is loaded; it may set data-* on the body."""
    text = (root / "leaderboard" / "index.html").read_text()
    path = root / "leaderboard" / "probe.html"
    path.write_text(text.replace("</body>", f"<script>{script}</script></body>"))
    return path


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("results")
    for task in ("turning_on_radio", "picking_up_trash"):
        lines = [episode(i, q) for i, q in enumerate([1.0, 0.5, 0.0] * 4)]
        lines.append(episode(12, None, "missing"))
        write(root, merged("trained", task, lines))
        write_scores(root, "untrained", task, [0.0] * 12 + [0.5], policy="untrained")
        for instance in range(12):
            write_json(Results(root).episode("trained", task, instance, 0), {"q": instance})
    report = ReportSettings(title="Browser test", baseline="untrained", bootstrap_samples=200)
    tasks = ["turning_on_radio", "picking_up_trash"]
    write_leaderboard(root, ["trained", "untrained"], tasks, report, seed=0)
    return root


def test_opens_without_errors_and_has_all_rows(root, tmp_path):
    dom, console = open_page(root / "leaderboard" / "index.html", tmp_path)
    assert console == ""
    board = dom.split('id="leaderboard"')[1].split("</section>")[0]
    assert re.findall(r'<th scope="row">(\w+)', board) == ["trained", "untrained"]
    assert dom.count('class="square ') == 2 * 2 * 13
    assert "INCOMPLETE" in dom


def test_an_error_or_a_missing_file_would_be_seen(root, tmp_path):
    script = """
      const image = new Image();
      image.onerror = () => console.error("no image");
      image.src = "figures/nowhere.svg";
      document.body.append(image);
      undefined_function();
    """
    _, console = open_page(probe(root, script), tmp_path)
    assert "no image" in console
    assert "undefined_function is not defined" in console


def test_a_square_opens_its_episode(root, tmp_path):
    script = """
      document.querySelector("a.square").click();
      document.body.dataset.open = viewer.open;
      document.body.dataset.shown = viewer.querySelector(".text").textContent;
      document.body.dataset.record = viewer.querySelector(".record a").getAttribute("href");
    """
    dom, console = open_page(probe(root, script), tmp_path)
    assert console == ""
    assert 'data-open="true"' in dom
    assert 'data-shown="instance 0, rollout 0: success, q 1.00, 400 steps"' in dom
    assert 'data-record="../evaluation/trained/episodes/turning_on_radio_0_0.json"' in dom


@pytest.mark.parametrize("width", [1280, 720, 390])
def test_nothing_sticks_out_sideways(root, tmp_path, width):
    # Chromium's window is at least 500 pixels wide; below that the page itself is narrowed, with
    # the phone's style sheet in force.
    script = f"""
      document.documentElement.style.width = "{width}px";
      document.body.dataset.over = document.body.scrollWidth - {width};
    """
    window = f"--window-size={max(width, 500)},900"
    dom, _ = open_page(probe(root, script), tmp_path, window)
    assert int(re.findall(r'data-over="(-?\d+)"', dom)[0]) <= 0
