"""The published rows of 2025: the figures of the report's Table 1, on 2025 tables alone."""

from __future__ import annotations

import csv
import io
import itertools

import pytest
from rich.console import Console
from synthetic_results import write_scores

from hearth.core.errors import SettingsError
from hearth.core.sections import ReportSettings
from hearth.reporting.references import load_references
from hearth.reporting.tables import print_table, write_leaderboard


def test_the_published_figures():
    rows = load_references("behavior-2025")
    public = [(row.team, row.q, row.success_rate) for row in rows if row.split == "public"]
    assert public == [
        ("Robot Learning Collective", 0.2605, 0.1120),
        ("SimpleAI Robot", 0.1943, 0.1400),
        ("Comet", 0.1830, 0.1440),
        ("The North Star", 0.1702, 0.1280),
        ("Embodied Intelligence", 0.1110, 0.0620),
    ]
    hidden = [(row.team, row.q, row.success_rate) for row in rows if row.split == "hidden"]
    assert hidden[:2] == [
        ("Robot Learning Collective", 0.2599, 0.1240), ("Comet", 0.2514, 0.1140),
    ]  # fmt: skip


def test_no_other_benchmark_has_any():
    assert load_references("household") == () and load_references(None) == ()


def test_a_wrong_file_is_named(tmp_path):
    (tmp_path / "some.yaml").write_text("source: x\nteams: [{name: y}]\n")
    with pytest.raises(SettingsError, match=r"some.yaml holds no valid references"):
        load_references("some", tmp_path)


def test_they_stand_on_tables_and_page_of_2025(tmp_path):
    write_scores(tmp_path, "ours", "radio", [1.0, 0.5])
    report = ReportSettings(bootstrap_samples=100, baseline="ours")
    board = write_leaderboard(tmp_path, ["ours"], ["radio"], report, 0, "behavior-2025")
    folder = tmp_path / "leaderboard"
    with (folder / "leaderboard.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["evaluation"] for row in rows][:2] == ["ours", "Robot Learning Collective"]
    assert len(rows) == 1 + 10
    comet = next(r for r in rows if r["evaluation"] == "Comet" and r["split"] == "hidden")
    assert (comet["q"], comet["success_rate"]) == ("0.251400", "0.114000")
    assert comet["rank"] == "" and comet["complete"] == "published"
    page = (folder / "index.html").read_text()
    assert "Robot Learning Collective<small>Independent, published</small>" in page
    text = (folder / "leaderboard.md").read_text()
    assert "|  | Robot Learning Collective (published) |  | 0.2605 | 0.1120 |" in text
    # The hidden rows too, though we have played no hidden instance.
    _, hidden = page[page.index('<section id="leaderboard">') :].split("Hidden instances", 1)
    hidden = hidden.split("</section>", 1)[0]
    assert "Comet<small>" in hidden and '<span class="value">0.251</span>' in hidden
    _, hidden = text.split("## Hidden instances", 1)
    assert "|  | Comet (published) |  | 0.2514 | 0.1140 |" in hidden
    shown = io.StringIO()
    print_table(board, Console(file=shown, width=120))
    lines = [line.split() for line in shown.getvalue().splitlines()]
    rows = list(itertools.pairwise(lines))
    assert (["Comet", "0.2514", "0.1140"], ["hidden,", "published"]) in rows
    assert (["Comet", "0.1830", "0.1440"], ["public,", "published"]) in rows
    write_leaderboard(tmp_path, ["ours"], ["radio"], report, 0, "household")
    assert "Robot Learning" not in (folder / "index.html").read_text()
