"""The challenge's folder: what the evaluator wrote, unchanged, and what lacks is listed."""

from __future__ import annotations

import json

import pytest
from official_files import RADIO, TABLE_2025, TRASH, experiment, write_2025, write_2026

from hearth.cli import main
from hearth.core.errors import EvaluationError
from hearth.core.results import Results
from hearth.evaluation.importing import Source, import_results
from hearth.evaluation.submission import Submission, write_submission


class Case:
    """An imported evaluation and everything that a submission takes."""

    def __init__(self, folder, year=2026, tasks=None):
        self.elsewhere, self.year = folder / "elsewhere", year
        self.settings, self.benchmark = experiment(folder / "results", year)
        # A benchmark of fewer tasks is as good an example of a complete one.
        tasks = self.benchmark.tasks[:tasks]
        self.benchmark = self.benchmark.model_copy(update={"tasks": tasks})
        self.output = folder / "submissions"
        files = {"wrapper.py": "class Wrapper: ...\n", "r1pro.yaml": "model: r1pro\n"}
        files["README.md"] = "How to evaluate.\n"
        for name, text in files.items():
            (folder / name).write_text(text)
        self.files = {
            "wrappers": (folder / "wrapper.py",), "robot": folder / "r1pro.yaml",
            "readme": folder / "README.md",
        }  # fmt: skip

    def complete(self):
        for task in self.benchmark.task_names:
            write_2026(self.elsewhere, task, dict.fromkeys(self.benchmark.instances("public"), 0.5))
        return self

    def bring_in(self, **more):
        source = Source(self.elsewhere, "ours", "ours", **more)
        import_results(self.settings, self.benchmark, source)
        return Results.of(self.settings).official("ours")

    def submit(self, **changes):
        values = {"evaluation": "ours", "team": "Our Team", "affiliation": "Here", **self.files}
        submission = Submission(**{"date": "20261121", **values, **changes})
        return write_submission(self.settings, self.benchmark, submission, self.output)


@pytest.fixture
def case(tmp_path):
    return Case(tmp_path)


def test_a_complete_submission_lacks_nothing(tmp_path):
    case = Case(tmp_path, tasks=3)
    kept = case.complete().bring_in()
    written = case.submit()
    assert written.missing == () and written.results == 30
    assert written.folder.name == "standard.public.Our_Team.Here.20261121"
    names = {path.name for path in (written.folder / "json").iterdir()}
    assert len(names) == 30 and f"{RADIO}_301_0.json" in names
    for place in (f"json/{RADIO}_301_0.json", f"videos/{RADIO}_301_0.mp4"):
        assert (written.folder / place).read_bytes() == (kept / place).read_bytes()
    places = ["README.md", "robot_config/r1pro.yaml", "wrapper/wrapper.py", "SHA256SUMS"]
    assert all((written.folder / place).is_file() for place in places)
    sums = (written.folder / "SHA256SUMS").read_text()
    assert len(sums.splitlines()) == 63 and f"  json/{RADIO}_301_0.json\n" in sums


def test_everything_that_lacks_is_listed(case):
    write_2026(case.elsewhere, RADIO, {301: 1.0})
    write_2026(case.elsewhere, RADIO, {302: 1.0}, video=False)
    case.bring_in()
    written = case.submit(wrappers=(), robot=None, readme=None)
    text = "\n".join(written.missing)
    assert f"998 of 1000 results (each counts as zero): {RADIO} 303, " in text
    assert f"videos of 1 results: {RADIO}_302_0" in text
    assert "README (--readme FILE)" in text and "robot-config (--robot-config FILE)" in text
    assert "wrapper code (--wrapper FILE.py)" in text


def test_an_edited_file_stays_out_and_is_named(case):
    write_2026(case.elsewhere, RADIO, {301: 0.5, 302: 0.5})
    kept = case.bring_in()
    path = kept / "json" / f"{RADIO}_301_0.json"
    path.write_text(json.dumps(json.loads(path.read_text())).replace("0.5", "1.0"))
    (kept / "videos" / f"{RADIO}_302_0.mp4").unlink()
    written = case.submit()
    line = next(line for line in written.missing if line.startswith("changed or removed"))
    assert path.name in line and f"videos/{RADIO}_302_0.mp4" in line
    assert not (written.folder / "json" / path.name).exists() and written.results == 1


def test_no_best_of(case):
    write_2026(case.elsewhere / "a", RADIO, {301: 0.5, 302: 0.5})
    write_2026(case.elsewhere / "b", RADIO, {301: 1.0})
    case.bring_in()
    written = case.submit()
    assert any("two results for one episode" in line for line in written.missing)
    assert [path.name for path in (written.folder / "json").iterdir()] == [f"{RADIO}_302_0.json"]


def test_one_rollout_per_instance(case):
    write_2026(case.elsewhere, RADIO, {301: 0.0})
    second = case.elsewhere / "json" / f"{RADIO}_301_1.json"
    text = (case.elsewhere / "json" / f"{RADIO}_301_0.json").read_text()
    second.write_text(text.replace('"rollout_id": 0', '"rollout_id": 1').replace("0.0", "1.0"))
    case.bring_in(rollouts=2)
    written = case.submit()
    assert any(line.startswith("2 rollouts per instance") for line in written.missing)
    assert [path.name for path in (written.folder / "json").iterdir()] == [f"{RADIO}_301_0.json"]


def test_a_second_rollout_does_not_fill_the_gap_of_the_first(case):
    write_2026(case.elsewhere, RADIO, {301: 0.0}, rollout=1)
    (case.elsewhere / "json" / f"{RADIO}_301_0.json").rename(
        case.elsewhere / "json" / f"{RADIO}_301_1.json"
    )
    case.bring_in(rollouts=2)
    written = case.submit()
    assert written.results == 0
    assert any(line.startswith(f"1000 of 1000 results (each counts as zero): {RADIO} 301, ")
               for line in written.missing)  # fmt: skip


def test_a_crashed_episode_is_a_gap(tmp_path):
    case = Case(tmp_path, tasks=1)
    case.complete().bring_in()
    merged_at = Results.of(case.settings).merged_result("ours", RADIO)
    merged = json.loads(merged_at.read_text())
    merged["episodes"][1]["status"] = "crashed"  # as of one that was played here
    merged_at.write_text(json.dumps(merged))
    missing = case.submit().missing
    assert missing == (f"1 of 10 results (each counts as zero): {RADIO} 302 (crashed)",)


def test_2025_keeps_the_challenges_numbers(tmp_path):
    case = Case(tmp_path, 2025)
    table = tmp_path / "test_instances.csv"
    table.write_text(TABLE_2025)
    write_2025(case.elsewhere, RADIO, {242: 1.0})
    write_2025(case.elsewhere, TRASH, {196: 1.0})
    case.bring_in(instances=table)
    written = case.submit(track="privileged")
    assert written.folder.name == "privileged.public.Our_Team.Here.20261121"
    assert {path.name for path in (written.folder / "json").iterdir()} == {
        f"{RADIO}_242_0.json", f"{TRASH}_196_0.json",
    }  # fmt: skip
    assert written.missing[0].startswith("498 of 500 results")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"track": "easy"}, "--track 'easy': Valid: privileged, standard"),
        ({"team": "a.b"}, r"--team 'a\.b': letters, digits"),
        ({"date": "21 November"}, "--date '21 November': write YYYYMMDD"),
        ({"evaluation": "other"}, r"'other' has no official result files .*Valid: ours"),
    ],
)
def test_impossible_fields_are_named(case, change, message):
    write_2026(case.elsewhere, RADIO, {301: 1.0})
    case.bring_in()
    with pytest.raises(EvaluationError, match=message):
        case.submit(**change)


def test_a_folder_is_not_written_over(case):
    write_2026(case.elsewhere, RADIO, {301: 1.0})
    case.bring_in()
    case.submit()
    with pytest.raises(EvaluationError, match=r"20261121 exists; remove it"):
        case.submit()


def test_the_command_lists_what_lacks_and_says_so_by_its_exit(case, capsys, tmp_path):
    write_2026(case.elsewhere, RADIO, {301: 1.0})
    case.bring_in()
    config = tmp_path / "config.yaml"
    config.write_text(case.settings.model_dump_json())
    options = ["--evaluation", "ours", "--output", str(case.output), "--team", "t"]
    options += ["--affiliation", "a", "--date", "20261121", "--config", str(config)]
    assert main(["submission", *options]) == 1
    printed = capsys.readouterr()
    assert "standard.public.t.a.20261121: 1 results" in printed.out
    assert "missing: 999 of 1000 results" in printed.err


def test_the_command_says_what_to_set_where_nothing_is_given(case, capsys, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text(case.settings.model_dump_json())
    assert main(["submission", "--config", str(config)]) == 1
    assert f"give --evaluation, or submission.evaluation in {config}" in capsys.readouterr().err


def test_a_write_that_was_killed_leaves_no_folder(case, monkeypatch):
    write_2026(case.elsewhere, RADIO, {301: 1.0})
    case.bring_in()

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("hearth.evaluation.submission._copy_others", killed)
        with pytest.raises(KeyboardInterrupt):
            case.submit()
    folders = [path for path in case.output.iterdir() if not path.name.startswith(".")]
    assert folders == []
    assert case.submit().results == 1
    assert len(list(case.output.iterdir())) == 1, "nothing is left over"
