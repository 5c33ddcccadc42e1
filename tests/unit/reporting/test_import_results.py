"""Result folders from elsewhere: scored as the official scorer does, faults named and kept."""

from __future__ import annotations

import json
import re

import pytest
from official_files import (
    RADIO,
    TABLE_2025,
    TRASH,
    experiment,
    result_2025,
    result_2026,
    write_2025,
    write_2026,
    write_file,
)

from hearth.cli import main
from hearth.core.errors import EvaluationError, SettingsError
from hearth.core.results import Results
from hearth.evaluation.importing import Source, import_results
from hearth.reporting import scoring
from hearth.reporting.leaderboard import build_leaderboard
from hearth.reporting.merged_files import load_evaluation


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "elsewhere"


def timed(steps, seconds=16.67):
    """The times of a result file."""
    return {"simulator_steps": steps, "simulator_time": seconds, "normalized_time": 0.5}


def imported(tmp_path, folder, year=2026, tasks=None, **more):
    """Import into an experiment of `year`; returns the record and the evaluation as read back."""
    settings, benchmark = experiment(tmp_path / "results", year, tasks)
    record = import_results(settings, benchmark, Source(folder, "other", "other", **more))
    tasks = tasks or benchmark.task_names
    return record, load_evaluation(Results.of(settings).root, "other", tasks)


def test_the_score_of_2026_worked_out_by_hand(tmp_path, folder):
    write_2026(folder, RADIO, {301: 1.0, 302: 0.5, 303: 0.25}, time=0.8, distances=(0.9, 0.6, 0.3))
    write_2026(folder, TRASH, {310: 1.0}, time=2 / 3, distances=(1.0, 2.0, 0.0))
    record, evaluation = imported(tmp_path, folder)
    assert (record["used"], record["faults"]) == (4, [])
    scores = scoring.task_scores(evaluation.results[RADIO])
    # Ten instances due, three files: every sum is divided by ten.
    assert scores.q == pytest.approx(1.75 / 10)
    assert scores.success_rate == pytest.approx(1 / 10)
    # 1.5 / 0.5 - 1 / (0.5 * 0.8) = 0.5 for each of the three files.
    assert scores.time == pytest.approx(3 * 0.5 / 10)
    assert scores.distance == pytest.approx({"base": 0.27, "left": 0.18, "right": 0.09})
    # 3 - 2 / (2/3) = 0: exactly at the limit of 1.5 human lengths.
    assert scoring.task_scores(evaluation.results[TRASH]).time == pytest.approx(0.0)
    overall = scoring.overall_scores(evaluation)
    # 100 tasks, 98 of them without a file.
    assert overall.q == pytest.approx((0.175 + 0.1) / 100)
    assert overall.success_rate == pytest.approx((0.1 + 0.1) / 100)
    assert overall.time == pytest.approx(0.15 / 100)
    assert overall.distance == pytest.approx({"base": 0.0037, "left": 0.0038, "right": 0.0009})


def test_the_score_of_2025_worked_out_by_hand(tmp_path, folder):
    table = tmp_path / "test_instances.csv"
    table.write_text(TABLE_2025)
    write_2025(folder, RADIO, {242: 1.0, 139: 0.5}, time=0.8, distances=(0.9, 0.6, 0.3))
    write_2025(folder, TRASH, {196: 0.0}, time=0.5)
    _, evaluation = imported(tmp_path, folder, 2025, instances=table)
    scores = scoring.task_scores(evaluation.results[RADIO])
    assert scores.q == pytest.approx(0.15)
    assert scores.success_rate == pytest.approx(0.1)
    assert scores.time == pytest.approx(2 * (2 - 1 / 0.8) / 10)
    # At twice the human length, the limit of 2025, the time score is zero.
    assert scoring.task_scores(evaluation.results[TRASH]).time == pytest.approx(0.0)
    overall = scoring.overall_scores(evaluation)
    assert overall.q == pytest.approx(0.15 / 50)
    assert overall.distance["base"] == pytest.approx((2 * 0.9 / 10 + 0.5 / 10) / 50)
    # 242 is the first of the challenge's list, 139 the tenth.
    present = [e.instance_id for e in evaluation.results[RADIO].episodes if e.present]
    assert present == [1, 10]


def test_a_hand_that_never_moved_scores_infinity_as_in_the_official_scorer(tmp_path, folder):
    text = json.dumps(result_2026(RADIO, 301, 0.0)).replace("0.4", "Infinity")
    write_file(folder, f"{RADIO}_301_0", text)
    _, evaluation = imported(tmp_path, folder, tasks=[RADIO])
    distance = scoring.overall_scores(evaluation).distance
    assert distance["left"] == float("inf") and distance["base"] == pytest.approx(0.05)


def test_files_are_kept_byte_for_byte(tmp_path, folder):
    path = write_file(folder, f"{RADIO}_301_0", json.dumps(result_2026(RADIO, 301, 1.0)) + " \r\n")
    imported(tmp_path, folder, tasks=[RADIO])
    kept = tmp_path / "results" / "test" / "evaluation" / "other" / "official"
    assert (kept / "json" / path.name).read_bytes() == path.read_bytes()
    film = f"{RADIO}_301_0.mp4"
    assert (kept / "videos" / film).read_bytes() == (folder / "videos" / film).read_bytes()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (f"{RADIO}_302_0", '{"task": "turning', "is not valid JSON"),
        (f"{RADIO}_302_0", "[]", "holds a list, not a result"),
        (f"{RADIO}_302_0", result_2026(RADIO, 302, 1.5), r"q_score.final is 1.5; .* in \[0, 1\]"),
        (f"{RADIO}_302_0", result_2026(RADIO, 302, -0.5), "q_score.final is -0.5"),
        (f"{RADIO}_302_0", result_2026(RADIO, 302, float("nan")), "q_score.final is nan; valid"),
        (f"{RADIO}_302_0", result_2026(RADIO, 302, True), "q_score.final is True"),
        (f"{RADIO}_302_0", result_2026(RADIO, 302, 0.5, time=0.0), "normalized_time is 0.0; valid"),
        (f"{RADIO}_302_0", result_2026(RADIO, 309, 0.5), "instance_id 309, rollout_id 0"),
        (f"{RADIO}_302_0", result_2025(0.5), "has the form of 2025, but the benchmark"),
        (f"{RADIO}_302_0", {"q_score": {"final": 1.0}}, "has no key 'normalized_agent_distance'"),
        (f"{RADIO}_311_0", result_2026(RADIO, 311, 0.5), "unknown instance 311: valid are 301, "),
        (f"{RADIO}_302_3", result_2026(RADIO, 302, 0.5, 3), "rollout 3 is not due: 1 per instance"),
        ("turning_on_raido_302_0", result_2026(RADIO, 302, 0.5), f"did you mean '{RADIO}'"),
        (
            f"{RADIO}_302_0",
            result_2026(RADIO, 302, 0.5) | {"success": True},
            "says success true and q_score.final 0.5; success is q 1",
        ),
        (
            f"{RADIO}_302_0",
            result_2026(RADIO, 302, 1.0) | {"success": False},
            "says success false and q_score.final 1.0",
        ),
        (f"{RADIO}_302_0", result_2026(RADIO, 302, 1.0) | {"success": 1}, "says success 1 and"),
        (
            f"{RADIO}_302_0",
            result_2026(RADIO, 302, 0.5) | {"time": timed(-1)},
            "time.simulator_steps is -1; valid are numbers from 0",
        ),
        (
            f"{RADIO}_302_0",
            result_2026(RADIO, 302, 0.5) | {"time": timed(99_999)},
            r"time.simulator_steps is 99999; the limit is \d+",
        ),
        (
            f"{RADIO}_302_0",
            result_2026(RADIO, 302, 0.5) | {"time": timed(500, -16.0)},
            "time.simulator_time is -16.0; valid",
        ),
        (f"{RADIO}_302_0", result_2026(RADIO, 302, 0.5, time=-1.0), "normalized_time is -1.0"),
        (
            f"{RADIO}_302_0",
            result_2026(RADIO, 302, 0.5, distances=(0.5, -0.4, 0.2)),
            "normalized_agent_distance.left is -0.4; valid are numbers from 0",
        ),
        (
            f"{RADIO}_302_0",
            result_2026(RADIO, 302, 0.5) | {"agent_distance": {"base": -2.0}},
            "agent_distance.base is -2.0; valid",
        ),
        (
            f"{RADIO}_302_0",
            result_2026(RADIO, 302, 0.5) | {"agent_distance": 2.0},
            "does not have the form of a result",
        ),
        (f"{RADIO}_302_0", result_2026(RADIO, 302, 0.5) | {"steps": -5}, "steps is -5; valid"),
        (f"{RADIO}_302_0", result_2026(RADIO, 302, 0.5) | {"steps": 5.5}, "steps is 5.5; valid"),
        (
            f"{RADIO}_302_0",
            result_2026(RADIO, 302, 0.5) | {"agent_distance": "far"},
            "does not have the form of a result",
        ),
        (f"{RADIO}_302_0", result_2026(RADIO, 302, 10**400), "does not have the form of a result"),
        (f"{RADIO}_302_0", '{"q": ' + "9" * 5000 + "}", "is no result"),
        (f"{RADIO}_302_0", "[" * 100_000 + "]" * 100_000, "is no result"),
        (
            f"{RADIO}_302_0",
            {k: v for k, v in result_2026(RADIO, 302, 0.5).items() if k != "success"},
            "has no key 'success'",
        ),
        (f"{RADIO}_0302_0", result_2026(RADIO, 302, 0.5), "is not named <task>"),
        ("summary", "{}", "is not named <task>_<instance>_<rollout>.json"),
    ],
)
def test_a_bad_file_is_named_and_the_rest_still_merges(tmp_path, folder, name, content, message):
    write_2026(folder, RADIO, {301: 1.0})
    write_file(folder, name, content)
    record, evaluation = imported(tmp_path, folder, tasks=[RADIO])
    (fault,) = record["faults"]
    assert fault.startswith(f"json/{name}.json: ")
    assert re.search(message, fault), fault
    assert evaluation.faults == (f"other: {fault}",)
    assert evaluation.counts["success"] == 1 and evaluation.counts["missing"] == 9
    assert scoring.overall_scores(evaluation).q == pytest.approx(0.1)


def test_two_results_for_one_episode_count_as_none(tmp_path, folder):
    write_2026(folder / "first", RADIO, {301: 1.0, 302: 1.0})
    write_2026(folder / "second", RADIO, {301: 0.0, 302: 1.0})
    record, evaluation = imported(tmp_path, folder, tasks=[RADIO])
    (fault,) = record["faults"]
    assert "two results for one episode: also second/json/turning_on_radio_301_0.json" in fault
    first, second = evaluation.results[RADIO].episodes[:2]
    assert first.status == "missing" and first.reason == fault
    assert second.q == 1.0  # the same bytes twice are one result


def test_a_missing_video_is_a_fault_and_the_result_counts(tmp_path, folder):
    write_2026(folder, RADIO, {301: 1.0})
    write_2026(folder, RADIO, {302: 1.0}, video=False)
    record, evaluation = imported(tmp_path, folder, tasks=[RADIO])
    assert record["faults"] == [f"{RADIO}_302_0: the video is missing"]
    assert evaluation.counts["success"] == 2


def test_a_folder_without_any_video_is_one_fault(tmp_path, folder):
    write_2026(folder, RADIO, {301: 1.0, 302: 1.0}, video=False)
    record, _ = imported(tmp_path, folder, tasks=[RADIO])
    assert record["faults"] == ["no video of any of the 2 results"]


def test_a_folder_of_the_other_year_is_an_error(tmp_path, folder):
    write_2025(folder, RADIO, {301: 1.0})
    with pytest.raises(EvaluationError, match=r"no result for 'behavior-2026'.*form of 2025"):
        imported(tmp_path, folder)


def test_2025_needs_the_list_of_instances(tmp_path, folder):
    write_2025(folder, RADIO, {242: 1.0})
    with pytest.raises(EvaluationError, match=r"--instances .*test_instances.csv"):
        imported(tmp_path, folder, 2025)
    (tmp_path / "wrong.csv").write_text("a,b\n1,2\n")
    with pytest.raises(EvaluationError, match=r"is not the challenge's test_instances.csv"):
        imported(tmp_path, folder, 2025, instances=tmp_path / "wrong.csv")


def test_many_faults_are_shown_in_part(tmp_path, folder):
    write_2026(folder, RADIO, {301: 1.0})
    for instance in range(400, 430):
        write_2026(folder, RADIO, {instance: 1.0})
    record, evaluation = imported(tmp_path, folder, tasks=[RADIO])
    assert len(record["faults"]) == 30 and len(evaluation.faults) == 21
    assert evaluation.faults[-1] == "other: 10 more in evaluation/other/imported.json"


def test_names_that_are_taken_or_not_valid(tmp_path, folder):
    write_2026(folder, RADIO, {301: 1.0})
    imported(tmp_path, folder, tasks=[RADIO])
    with pytest.raises(SettingsError, match=r"exists; choose another name or remove it"):
        imported(tmp_path, folder, tasks=[RADIO])
    settings, benchmark = experiment(tmp_path / "results", 2026)
    with pytest.raises(SettingsError, match="--name 'a/b': letters, digits"):
        import_results(settings, benchmark, Source(folder, "a/b", "policy"))


def test_gaps_of_an_import_are_shown_and_no_error(tmp_path, folder):
    write_2026(folder, RADIO, {301: 1.0})
    imported(tmp_path, folder, tasks=[RADIO])
    settings, _ = experiment(tmp_path / "results", 2026, [RADIO])
    root = Results.of(settings).root
    board = build_leaderboard(root, ["other"], [RADIO], settings.report, 0)
    assert not board.complete and board.rows[0].imported
    board.check_complete(settings.report)


def test_what_was_imported_for_another_year_is_a_fault_of_the_table(tmp_path, folder, capsys):
    write_2026(folder, RADIO, dict.fromkeys(range(301, 311), 1.0))
    for name in ("other", "again"):
        settings, benchmark = experiment(tmp_path / "results", 2026, [RADIO])
        import_results(settings, benchmark, Source(folder, name, name))
    marker = Results.of(settings).imported("other")
    marker.write_text(marker.read_text().replace("behavior-2026", "behavior-2025"))
    config = tmp_path / "config.yaml"
    config.write_text(settings.model_dump_json())
    assert main(["report", "--config", str(config)]) == 0
    fault = "other: imported for 'behavior-2025', but this table is of 'behavior-2026'"
    assert fault in " ".join(capsys.readouterr().out.split())
    board = Results.of(settings).leaderboard
    rows = {line.split(",")[1]: line for line in (board / "leaderboard.csv").read_text().split()}
    assert rows["again"].startswith("1,again,again,public,1,10,1.0")
    assert ",0.000000," in rows["other"] and ",public," not in rows["other"]
    assert fault.replace("'", "&#39;") in (board / "index.html").read_text()


def test_the_command_puts_a_folder_on_the_table(tmp_path, folder, capsys):
    write_2026(folder, RADIO, {instance: 1.0 for instance in range(301, 311)})
    write_file(folder, f"{RADIO}_999_0", result_2026(RADIO, 999, 1.0))
    config = tmp_path / "config.yaml"
    settings, _ = experiment(tmp_path / "results", 2026, [RADIO])
    config.write_text(settings.model_dump_json())
    options = ["--config", str(config)]
    assert main(["import-results", str(folder), "--name", "comet", *options]) == 0
    printed = capsys.readouterr()
    assert "comet: 10 results on split 'public', 1 faults" in printed.out
    assert "unknown instance 999" in printed.err
    assert main(["report", *options]) == 0
    assert "comet" in capsys.readouterr().out
    table = tmp_path / "results" / "test" / "leaderboard" / "leaderboard.csv"
    assert "1,comet,comet,public,1,10,1.000000" in table.read_text()
    assert "| 1 | comet (imported) |" in (table.parent / "leaderboard.md").read_text()
    page = (table.parent / "index.html").read_text()
    assert "unknown instance 999" in page and "imported results" in page
    episodes = (table.parent / "data" / "episodes-comet.js").read_text()
    assert f"../evaluation/comet/official/json/{RADIO}_301_0.json" in episodes
