"""The figures of a trace for print."""

from __future__ import annotations

import pytest
import synthetic_traces

from hearth.cli import main
from hearth.core.errors import DataError
from hearth.core.results import Results
from hearth.core.settings import load_settings
from hearth.reporting.trace_figures import write_trace_figures

TASK = "picking_up_trash"


def test_stages_chunks_and_compression_in_both_schemes(tmp_path):
    trace = synthetic_traces.trace(TASK, 0)
    written = write_trace_figures(tmp_path, "one", trace)
    kinds = ("stages", "chunks", "compression")
    assert [path.name for path in written] == [
        f"one-{kind}-{scheme}.svg" for kind in kinds for scheme in ("light", "dark")
    ]
    stages, chunks, compression = (path.read_text() for path in written[::2])
    for text in ("stage after the vote", "stage that each prediction names", "right hand opened"):
        assert text in stages
    assert "left hand opened" not in stages
    assert "1 left arm" in chunks and "kept for inpainting" in chunks
    assert "26 predicted actions" in compression and "20 steps" in compression


def test_what_a_trace_does_not_hold_is_not_drawn(tmp_path):
    trace = synthetic_traces.trace(TASK, 0)
    for pair in trace["pairs"]:
        for chunk in pair:
            chunk.update(used=20)
    assert len(write_trace_figures(tmp_path, "one", trace, "0")) == 4  # nothing is compressed
    assert len(write_trace_figures(tmp_path, "one", {**trace, "pairs": []})) == 2


def test_an_unknown_dimension_lists_the_names(tmp_path):
    with pytest.raises(DataError, match="did you mean '1 left arm'"):
        write_trace_figures(tmp_path, "one", synthetic_traces.trace(TASK, 0), "1 left am")


def test_the_command_writes_figures_of_one_episode_and_says_what_is_missing(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "config.yaml"
    config.write_text(
        "{experiment: x, benchmark: household, demonstrations: {}, runs: {main: {}},"
        " evaluations: {trained: {}}}"
    )
    root = Results.of(load_settings(config)).root
    synthetic_traces.write(root, "trained", TASK, 301)
    arguments = ["trace", "--config", str(config), "--evaluation", "trained", "--task", TASK]
    assert main([*arguments, "--instance", "301", "--dimension", "1 left arm"]) == 0
    assert (tmp_path / f"traces/trained-{TASK}-301-0-chunks-light.svg").is_file()
    assert main([*arguments, "--instance", "302"]) == 1
    assert f"{TASK}_302_0.trace.js does not exist" in capsys.readouterr().err
