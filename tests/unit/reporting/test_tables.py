"""The leaderboard files: contents, bytes, gaps and the terminal."""

from __future__ import annotations

import csv
import io
import shutil

import pytest
from rich.console import Console
from synthetic_results import episode, merged, write, write_scores

from hearth.core.errors import EvaluationError
from hearth.core.sections import ReportSettings
from hearth.reporting.leaderboard import build_leaderboard
from hearth.reporting.tables import print_table, write_leaderboard

TASKS = ("radio", "trash")
REPORT = ReportSettings(title="Test board", baseline="untrained", bootstrap_samples=500)


@pytest.fixture
def root(tmp_path):
    write_scores(tmp_path, "trained", "radio", [1.0, 1.0, 0.5, 1.0, 1.0])
    write_scores(tmp_path, "trained", "trash", [0.5, 0.0, 0.5, 1.0, 0.0])
    write_scores(tmp_path, "untrained", "radio", [0.0] * 5, policy="untrained")
    write_scores(tmp_path, "untrained", "trash", [0.0, 0.0, 0.5, 0.0, 0.0], policy="untrained")
    write_scores(tmp_path, "hidden", "radio", [0.5] * 5, split="hidden")
    write_scores(tmp_path, "hidden", "trash", [1.0, 0.0, 0.0, 0.0, 0.0], split="hidden")
    return tmp_path


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_leaderboard_rows(root):
    board = write_leaderboard(root, ["untrained", "trained", "hidden"], TASKS, REPORT, seed=0)
    rows = rows_of(root / "leaderboard" / "leaderboard.csv")
    ranks = [(row["split"], row["rank"], row["evaluation"]) for row in rows]
    assert ranks == [
        ("public", "1", "trained"), ("public", "2", "untrained"), ("hidden", "1", "hidden"),
    ]  # fmt: skip
    trained = rows[0]
    assert float(trained["q"]) == pytest.approx((0.9 + 0.4) / 2)
    assert float(trained["success_rate"]) == pytest.approx((0.8 + 0.2) / 2)
    assert float(trained["q_low"]) < 0.65 < float(trained["q_high"])
    assert float(trained["difference"]) == pytest.approx((0.9 + 0.3) / 2)
    assert float(trained["difference_low"]) > 0.0
    assert float(trained["difference_p"]) < 0.05
    assert trained["paired_instances"] == "10"
    assert [row["difference"] for row in rows[1:]] == ["", ""]  # itself; another split
    assert all(row["complete"] == "yes" for row in rows)
    assert board.complete


def test_task_rows(root):
    write_leaderboard(root, ["trained", "untrained"], TASKS, REPORT, seed=0)
    rows = rows_of(root / "leaderboard" / "tasks.csv")
    assert [(row["evaluation"], row["task"]) for row in rows] == [
        ("trained", "radio"), ("trained", "trash"), ("untrained", "radio"), ("untrained", "trash"),
    ]  # fmt: skip
    assert [float(row["q"]) for row in rows] == pytest.approx([0.9, 0.4, 0.0, 0.1])
    assert (rows[0]["success"], rows[0]["timeout"]) == ("4", "1")
    assert float(rows[1]["difference"]) == pytest.approx(0.3)


def test_same_inputs_same_bytes_wherever_the_results_lie(root, tmp_path_factory):
    other = tmp_path_factory.mktemp("elsewhere")
    shutil.copytree(root / "evaluation", other / "evaluation")
    for place in (root, other):
        write_leaderboard(place, ["trained", "untrained"], TASKS, REPORT, seed=3)

    def files(place):
        paths = sorted(path for path in (place / "leaderboard").rglob("*") if path.is_file())
        return {path.relative_to(place).as_posix(): path.read_bytes() for path in paths}

    first, second = files(root), files(other)
    assert "leaderboard/index.html" in first
    assert first == second


def test_numbers_do_not_depend_on_which_other_evaluations_are_shown(root):
    both = build_leaderboard(root, ["trained", "untrained"], TASKS, REPORT, seed=0)
    more = build_leaderboard(root, ["hidden", "untrained", "trained"], TASKS, REPORT, seed=0)
    first, second = (
        next(row for row in board.rows if row.evaluation == "trained") for board in (both, more)
    )
    assert first == second


def test_equal_scores_share_a_rank(tmp_path):
    for name in ("one", "two", "three"):
        write_scores(tmp_path, name, "radio", [0.5, 0.5] if name != "three" else [0.0, 0.0])
    board = build_leaderboard(tmp_path, ["three", "one", "two"], ["radio"], ReportSettings(), 0)
    assert [(row.evaluation, row.rank) for row in board.rows] == [
        ("one", 1), ("two", 1), ("three", 3),
    ]  # fmt: skip


def incomplete(root):
    lines = [episode(0, 1.0), episode(1, None, "crashed", reason="signal 11")]
    write(root, merged("broken", "radio", lines))
    return build_leaderboard(root, ["trained", "broken"], TASKS, REPORT, seed=0)


def test_incomplete_is_an_error_unless_allowed(root):
    board = incomplete(root)
    with pytest.raises(EvaluationError, match=r"INCOMPLETE: broken \(1 crashed, 1 task without"):
        board.check_complete(REPORT)
    board.check_complete(REPORT.model_copy(update={"allow_incomplete": True}))


def test_the_terminal_shows_gaps_and_faults(root):
    text = io.StringIO()
    print_table(incomplete(root), Console(file=text, width=200))
    assert "INCOMPLETE: broken: 1 crashed, 1 task without a result" in text.getvalue()
    assert "trash.json does not exist" in text.getvalue()
    assert "[0." in text.getvalue()


def test_the_terminal_shows_intervals_in_eighty_columns(root):
    text = io.StringIO()
    board = build_leaderboard(root, ["trained", "untrained"], TASKS, REPORT, seed=0)
    print_table(board, Console(file=text, width=80))
    trained = board.rows[0]
    assert f"[{trained.q.low:.3f}, {trained.q.high:.3f}]" in text.getvalue()
    assert f"[{trained.difference.low:+.3f}, {trained.difference.high:+.3f}]" in text.getvalue()


def test_incomplete_is_written_and_said(root):
    lines = [episode(0, 1.0), episode(1, None, "missing")]
    write(root, merged("broken", "radio", lines))
    write_leaderboard(root, ["broken"], TASKS, ReportSettings(bootstrap_samples=100), seed=0)
    assert rows_of(root / "leaderboard" / "leaderboard.csv")[0]["complete"] == "INCOMPLETE"
    assert [row["missing"] for row in rows_of(root / "leaderboard" / "tasks.csv")] == ["1", "0"]
    assert "INCOMPLETE" in (root / "leaderboard" / "index.html").read_text()


def test_time_and_distance_scores_have_intervals(tmp_path):
    for task in TASKS:
        lines = []
        for i in range(6):
            distance = {"base": 0.5 + i / 10, "left": 0.7, "right": "Infinity" if i == 3 else 0.5}
            lines.append(
                episode(i, 0.5, normalized_time=0.5 + i / 10, normalized_agent_distance=distance)
            )
        write(tmp_path, merged("ours", task, [*lines, episode(6, None, "crashed")]))
    write(tmp_path, merged("alike", "radio", [episode(i, 0.5) for i in range(3)]))
    board = write_leaderboard(tmp_path, ["ours", "alike"], TASKS, REPORT, seed=0)
    row = next(row for row in board.rows if row.evaluation == "ours")
    found = rows_of(tmp_path / "leaderboard" / "leaderboard.csv")[0]
    for line in (found, rows_of(tmp_path / "leaderboard" / "tasks.csv")[0]):
        for score in ("time_score", "base_distance_score"):
            low, value, high = (float(line[score + end]) for end in ("_low", "", "_high"))
            assert low < value < high
        assert float(line["left_distance_score_low"]) < 0.6  # one in seven crashed: zero
        assert line["right_distance_score"] == "inf" and line["right_distance_score_low"] == ""
    times = [2.0 - 1.0 / (0.5 + i / 10) for i in range(6)]
    assert float(found["time_score"]) == pytest.approx(sum(times) / 7, abs=1e-6)
    assert min(times) <= row.time.low and row.time.high <= max(times)
    # All alike: nothing shows a spread, and there is no bound.
    alike = next(row for row in board.task_rows if row.evaluation == "alike")
    assert alike.time.estimate == pytest.approx(0.75) and alike.time.low is None
    limits = f"{row.time.low:.3f}", f"{row.time.high:.3f}"
    page = (tmp_path / "leaderboard" / "index.html").read_text()
    assert f'<small class="limits">{limits[0]} to {limits[1]}</small>' in page
    base = row.distance["base"]
    assert f'title="base, {base.low:.3f} to {base.high:.3f}"' in page
    text = (tmp_path / "leaderboard" / "leaderboard.md").read_text()
    assert f"| {row.time.estimate:.3f} [{limits[0]}, {limits[1]}] |" in text


def test_nothing_to_show_is_an_error(tmp_path):
    with pytest.raises(EvaluationError, match="at least one evaluation and one task"):
        write_leaderboard(tmp_path, [], TASKS, REPORT, seed=0)
