"""The page names an episode's trace and holds none of its content."""

from __future__ import annotations

import synthetic_traces
from synthetic_results import episode, merged, write

from hearth.core.sections import ReportSettings
from hearth.reporting.tables import write_leaderboard


def test_a_square_leads_to_its_trace_where_there_is_one(tmp_path):
    place = synthetic_traces.write(tmp_path, "trained", "radio", 0)
    (tmp_path / place).with_name("radio_0_0.json").write_text("{}")
    (tmp_path / place).with_name("radio_1_0.json").write_text("{}")
    lines = [episode(0, 1.0, trace=place), episode(1, 0.0, trace=None), episode(2, 0.5)]
    write(tmp_path, merged("trained", "radio", lines))
    write_leaderboard(tmp_path, ["trained"], ["radio"], ReportSettings(), seed=0)
    page = (tmp_path / "leaderboard" / "index.html").read_text()
    assert page.count("data-trace=") == 1
    assert 'data-trace="../evaluation/trained/episodes/radio_0_0.trace.js"' in page
    assert "overlap_error:" in page and "0.02,0.03" not in page  # the reader, not the data
