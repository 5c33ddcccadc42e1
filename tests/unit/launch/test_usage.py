"""What the accounting says of an experiment's jobs, from recorded output of sacct."""

from __future__ import annotations

from pathlib import Path

import pytest

from hearth.cli import main
from hearth.launch.usage import parse_jobs

GOLDEN = Path(__file__).parent / "golden" / "usage.sacct"
MEGABYTE = 2**20


def test_jobs_are_read_with_what_their_steps_used() -> None:
    jobs = parse_jobs(GOLDEN.read_text())
    assert [job.rule for job in jobs] == [
        *["demonstrations"] * 2,
        *["evaluate"] * 2,
        *["train"] * 2,
    ]
    running, recorded = jobs[:2]
    assert running.most_memory is None and running.limit_seconds == 7200
    assert recorded.most_memory == 1368628 * 1024 and recorded.memory == 16000 * MEGABYTE
    assert recorded.cpu_seconds == pytest.approx(25.478)
    assert jobs[3].state == "CANCELLED"
    first, second = jobs[4:]
    assert (first.state, second.state) == ("REQUEUED", "RUNNING")
    assert first.memory == 240000 * MEGABYTE, "of a node, of two"
    assert first.most_memory == 150.5 * 1024 * MEGABYTE and second.most_memory is None
    assert first.cpu_seconds == 26 * 3600 + 3 * 60 + 4


def test_the_table_compares_with_what_the_profile_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = tmp_path / "asked"
    sacct = tmp_path / "sacct"
    sacct.write_text(f"#!/bin/sh\necho $@ >> {asked}\n/bin/cat {GOLDEN}\n")
    sacct.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    config = str(Path(__file__).resolve().parents[3] / "config/test.yaml")
    assert main(["cluster", "usage", "--config", config, "--since", "now-2days"]) == 0
    text = capsys.readouterr().out
    rows = {line.split()[0]: line.split() for line in text.splitlines() if line.strip()}
    assert rows["demonstrations"][1:] == [
        "2", "1", "running,", "1", "completed", "16000", "1337", "2", "0.0", "2:00:00", "0:04:51"
    ]  # fmt: skip
    assert rows["train"][-6:] == ["240000", "154112", "64", "25.6", "24:00:00", "1:00:00"]
    (call,) = asked.read_text().splitlines()
    assert "-S now-2days" in call and "-W hearth-" in call, "one query, of this experiment alone"


def test_an_accounting_that_does_not_answer_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sacct").write_text("#!/bin/sh\necho 'Connection refused' >&2\nexit 1\n")
    (tmp_path / "sacct").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    config = str(Path(__file__).resolve().parents[3] / "config/test.yaml")
    assert main(["cluster", "usage", "--config", config]) == 1
    assert "Connection refused" in capsys.readouterr().err
