"""Every two evaluations of a split: differences, corrections, letters, noise, files."""

from __future__ import annotations

import csv
import io

import pytest
from pyarrow import parquet
from rich.console import Console
from synthetic_results import episode, merged, write, write_scores

from hearth.core.sections import ReportSettings
from hearth.reporting.leaderboard import build_leaderboard
from hearth.reporting.significance import holm
from hearth.reporting.tables import print_table, write_leaderboard

TASKS = ("radio", "trash")
REPORT = ReportSettings(baseline="weak", bootstrap_samples=500)
NAMES = ["weak", "strong", "equal", "hidden"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("results")
    scores = {"strong": ([1.0] * 9 + [0.5], [1.0] * 8 + [0.0, 0.5]), "weak": ([0.0] * 10,) * 2}
    scores["equal"] = ([1.0] * 8 + [0.5, 0.5], [1.0] * 8 + [0.5, 0.0])
    scores["hidden"] = ([0.5] * 10,) * 2
    for name, (radio, trash) in scores.items():
        split = "hidden" if name == "hidden" else "public"
        more = {"policy_hash": name, "split": split}
        write_scores(root, name, "radio", radio, **more)
        write_scores(root, name, "trash", trash, **more)
    write_leaderboard(root, NAMES, TASKS, REPORT, seed=0)
    return root


@pytest.fixture(scope="module")
def board(root):
    return build_leaderboard(root, NAMES, TASKS, REPORT, seed=0)


def lines(root, name="comparisons"):
    with (root / "leaderboard" / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_pairs_of_a_split_the_better_one_first(board):
    pairs = [(pair.first, pair.second) for pair in board.comparisons.pairs]
    assert pairs == [("strong", "equal"), ("strong", "weak"), ("equal", "weak")]
    first = board.comparisons.pairs[0]
    assert first.difference.estimate == pytest.approx(0.025)
    assert first.difference.low < 0.025 < first.difference.high
    assert first.difference.p_value == 1.0 and first.p_holm == 1.0
    assert first.more_instances > 100
    second = board.comparisons.pairs[1]
    assert second.difference.estimate == pytest.approx((0.95 + 0.85) / 2)
    assert second.p_holm < 0.01 and second.more_instances == 0


def test_letters_and_where_there_are_none(board):
    assert {row.evaluation: row.letters for row in board.rows} == {
        "strong": "a", "equal": "a", "weak": "b", "hidden": "",
    }  # fmt: skip


def test_tasks_are_corrected_across_the_tasks_of_a_pair(board):
    for pair in board.comparisons.pairs:
        tasks = board.comparisons.on_tasks(pair)
        assert [task.task for task in tasks] == ["radio", "trash"]
        expected = holm([task.difference.p_value for task in tasks])
        assert [task.p_holm for task in tasks] == pytest.approx(expected)


def test_the_difference_against_the_baseline_is_the_same_number(board):
    row = next(row for row in board.rows if row.evaluation == "equal")
    pair = board.comparisons.pairs[2]
    assert row.difference == pair.difference
    assert (row.difference.low, row.difference.high) == (pair.difference.low, pair.difference.high)


def test_settled_is_what_the_correction_tells_apart(tmp_path):
    # p = 0.031 for one against two and against three, 0.094 after the correction for three pairs.
    scores = {"one": [1.0] * 6 + [0.5] * 4, "two": [0.0] * 6 + [0.5] * 4, "three": [0.0] * 10}
    scores["three"][6:] = [0.5] * 4
    for name, values in scores.items():
        for task in TASKS:
            both = values if task == "radio" else [0.5] * 10
            write_scores(tmp_path, name, task, both, policy_hash=name)
    board = build_leaderboard(tmp_path, list(scores), TASKS, REPORT, seed=0)
    pairs = [pair for pair in board.comparisons.pairs if pair.first == "one"]
    for pair in pairs:
        assert pair.difference.p_value < 0.05 < pair.p_holm and pair.more_instances > 0
    tasks = [task for pair in pairs for task in board.comparisons.on_tasks(pair)]
    assert [task.difference.p_value < 0.05 < task.p_holm for task in tasks] == [True, False] * 2
    for found in (*board.comparisons.pairs, *board.comparisons.tasks):
        assert (found.more_instances == 0) == (found.p_holm <= 0.05)


def test_the_files_hold_every_pair_overall_and_by_task(root):
    found = lines(root)
    assert [(line["first"], line["second"], line["task"]) for line in found[:4]] == [
        ("strong", "equal", ""), ("strong", "weak", ""), ("equal", "weak", ""),
        ("strong", "equal", "radio"),
    ]  # fmt: skip
    assert len(found) == 3 + 3 * 2
    assert [line["told_apart"] for line in found[:3]] == ["no", "yes", "yes"]
    table = parquet.read_table(root / "leaderboard" / "comparisons.parquet")
    assert table.num_rows == 9 and table.column("task").null_count == 3
    assert table.column("difference")[1].as_py() == pytest.approx(0.9, abs=1e-12)


def test_parquet_beside_every_csv(root):
    for name in ("leaderboard", "tasks", "comparisons"):
        table = parquet.read_table(root / "leaderboard" / f"{name}.parquet")
        assert table.column_names == list(lines(root, name)[0])
        assert table.num_rows == len(lines(root, name))


def test_the_page_and_the_markdown_say_it(root):
    page = (root / "leaderboard" / "index.html").read_text()
    assert '<section id="comparisons">' in page and "strong against weak" in page
    text = (root / "leaderboard" / "leaderboard.md").read_text()
    assert "| 1 | strong | a | 0.900 [" in text
    assert "| strong against weak | +0.900 [" in text and "| settled |" in text


def test_markdown_escapes_names_and_says_what_is_incomplete(tmp_path):
    lines = [episode(0, 1.0), episode(1, None, "crashed")]
    write(tmp_path, merged("my_run", "radio", lines))
    write_leaderboard(tmp_path, ["my_run"], ["radio", "trash"], ReportSettings(title="a|b"), seed=0)
    text = (tmp_path / "leaderboard" / "leaderboard.md").read_text()
    assert text.startswith("# a\\|b\n") and "my\\_run **INCOMPLETE**" in text
    assert "**INCOMPLETE**: my\\_run (1 crashed, 1 task without a result)" in text
    assert "does not exist" in text


def test_repeated_runs_give_the_noise_floor(tmp_path):
    write_scores(tmp_path, "one", "radio", [1.0, 0.0, 0.5])
    write_scores(tmp_path, "two", "radio", [0.0, 0.0, 0.5])
    write_scores(tmp_path, "other", "radio", [0.0, 0.0, 0.0], policy_hash="another")
    board = build_leaderboard(tmp_path, ["one", "two", "other"], ["radio"], ReportSettings(), 0)
    (floor,) = board.comparisons.floors
    assert floor.evaluations == ("one", "two") and floor.noise.runs == 2
    assert floor.noise.deviation == pytest.approx((0.5 / 3 / 3) ** 0.5)


def test_rollouts_are_repeated_runs_and_crashes_are_no_noise(tmp_path):
    lines = [episode(i, q, rollout=r) for i, r, q in [(0, 0, 1.0), (0, 1, 0.0), (1, 0, 1.0)]]
    lines.append(episode(1, None, "crashed", rollout=1))
    write(tmp_path, merged("one", "radio", lines))
    board = build_leaderboard(tmp_path, ["one"], ["radio"], ReportSettings(), 0)
    (floor,) = board.comparisons.floors
    assert floor.noise.deviation == pytest.approx(0.5**0.5)


def test_the_noise_floor_is_shown_where_there_is_nothing_to_compare(tmp_path):
    lines = [episode(i, q, rollout=r) for i, r, q in [(0, 0, 1.0), (0, 1, 0.0), (1, 0, 1.0)]]
    write(tmp_path, merged("one", "radio", [*lines, episode(1, 1.0, rollout=1)]))
    board = write_leaderboard(tmp_path, ["one"], ["radio"], ReportSettings(), 0)
    assert not board.comparisons.pairs
    # Of variances 0.5 and 0; t with 2 degrees of freedom is 4.303.
    said = (
        "Noise floor: 2 runs of one policy on the same public instances (one) scatter by 0.354 in"
    )
    said += " q; two runs of it differ by less than 2.151 in 95 % of cases"
    page = (tmp_path / "leaderboard" / "index.html").read_text()
    assert said in page and '<section id="comparisons">' not in page
    assert said in (tmp_path / "leaderboard" / "leaderboard.md").read_text()
    shown = io.StringIO()
    print_table(board, Console(file=shown, width=300))
    assert said in shown.getvalue()
