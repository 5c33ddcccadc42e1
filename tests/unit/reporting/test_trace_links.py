"""The page's data name an episode's trace and hold none of its content."""

from __future__ import annotations

import synthetic_traces
from synthetic_results import episode, merged, write
from test_page_data import read

from hearth.core.sections import ReportSettings
from hearth.reporting.tables import write_leaderboard


def test_an_episode_leads_to_its_trace_where_there_is_one(tmp_path):
    place = synthetic_traces.write(tmp_path, "trained", "radio", 0)
    gone = "evaluation/trained/episodes/radio_1_0.trace.js"
    lines = [episode(0, 1.0, trace=place), episode(1, 0.5, trace=gone), episode(2, 0.0)]
    write(tmp_path, merged("trained", "radio", lines))
    write_leaderboard(tmp_path, ["trained"], ["radio"], ReportSettings(), seed=0)
    (radio,) = read(tmp_path, "episodes-trained")["tasks"]
    assert place == "evaluation/trained/episodes/radio_0_0.trace.js"
    assert [line["trace"] for line in radio["episodes"]] == [f"../{place}", None, None]
    board = tmp_path / "leaderboard"
    written = (board / "data" / "episodes-trained.js", board / "index.html")
    assert all("0.02,0.03" not in path.read_text() for path in written)
