"""Results from elsewhere as a section of the experiment: imported again as often as needed."""

from __future__ import annotations

import pytest
from official_files import RADIO, experiment, result_2026, write_2026, write_file

from hearth.cli import main
from hearth.core.errors import SettingsError, StorageError
from hearth.core.files import read_json
from hearth.core.results import Results
from hearth.core.settings import validate_settings
from hearth.evaluation import importing


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "elsewhere"
    write_2026(folder, RADIO, dict.fromkeys(range(301, 311), 0.5))
    return folder


@pytest.fixture
def options(tmp_path, folder):
    """The command's options, of an experiment with the section `comet`."""
    settings, _ = experiment(tmp_path / "results", 2026, [RADIO])
    values = settings.model_dump(mode="json")
    values["imports"] = {"comet": {"folder": str(folder), "policy": "openpi-comet"}}
    settings = validate_settings(values, source="test")
    config = tmp_path / "config.yaml"
    config.write_text(settings.model_dump_json())
    return ["--config", str(config)]


@pytest.fixture
def results(tmp_path):
    return Results(tmp_path / "results" / "test")


def test_a_section_is_imported_by_its_name_and_replaced_by_what_is_there_now(
    options, results, folder, capsys
):
    assert main(["import-results", "--name", "comet", *options]) == 0
    assert "comet: 10 results on split 'public', 0 faults" in capsys.readouterr().out
    assert read_json(results.imported("comet"))["policy"] == "openpi-comet"
    (folder / "json" / f"{RADIO}_310_0.json").unlink()
    write_file(folder, f"{RADIO}_309_0", result_2026(RADIO, 309, 1.0))
    assert main(["import-results", "--name", "comet", "--policy", "other", *options]) == 0
    assert "comet: 9 results" in capsys.readouterr().out
    assert len(list(results.official("comet").glob("json/*"))) == 9
    assert not results.task_result("comet", RADIO).exists(), "it is incomplete now"
    merged = read_json(results.incomplete_result("comet", RADIO))
    assert [episode["q"] for episode in merged["episodes"]] == [0.5] * 8 + [1.0, 0.0]
    assert read_json(results.imported("comet"))["policy"] == "other"


def test_an_import_that_is_cut_off_is_no_evaluation_and_begins_again(options, results, monkeypatch):
    assert main(["import-results", "--name", "comet", *options]) == 0
    before = results.imported("comet").read_bytes()

    def cut_off(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(importing, "write_merged", cut_off)
        assert main(["import-results", "--name", "comet", *options]) == 130
    assert results.imported_evaluations() == []
    assert main(["import-results", "--name", "comet", *options]) == 0
    assert results.imported("comet").read_bytes() == before


def test_an_import_that_fails_leaves_the_one_before(options, results, folder, monkeypatch):
    assert main(["import-results", "--name", "comet", *options]) == 0
    before = {path: path.read_bytes() for path in results.root.rglob("evaluation/**/*.*")}

    def full(*arguments):
        raise StorageError("no space left on the disk")

    with monkeypatch.context() as patch:
        patch.setattr(importing, "_copy_film", full)
        assert main(["import-results", "--name", "comet", *options]) == 1
    assert all(path.read_bytes() == content for path, content in before.items())
    assert main(["import-results", "--name", "comet", *options]) == 0
    after = {path: path.read_bytes() for path in results.root.rglob("evaluation/**/*.*")}
    assert after == before, "what the failed one left is gone"
    # Nor does an import take its own copy for the source.
    own = [str(results.official("other")), "--name", "other"]
    results.official("other").mkdir(parents=True)
    assert main(["import-results", *own, *options]) == 1


def test_a_folder_is_imported_again_after_a_fault(options, results, folder, monkeypatch, capsys):
    words = ["import-results", str(folder), "--name", "other", *options]

    def full(*arguments):
        raise StorageError("no space left on the disk")

    with monkeypatch.context() as patch:
        patch.setattr(importing, "write_merged", full)
        assert main(words) == 1
    assert main(words) == 0
    assert main(words) == 1, "now it is there"
    assert "exists; choose another name or remove it" in capsys.readouterr().err


def test_a_result_has_the_video_of_its_own_run(options, results, folder, capsys):
    for name in ("other", "another"):
        write_file(folder / name, f"{RADIO}_302_0", result_2026(RADIO, 302, 0.5))
    (folder / "other/json" / f"{RADIO}_302_0.json").unlink()
    (folder / "another/json" / f"{RADIO}_302_0.json").unlink()
    (folder / "other/videos" / f"{RADIO}_302_0.mp4").write_bytes(b"another episode")
    (folder / "json" / f"{RADIO}_302_0.json").rename(
        folder / "another/json" / f"{RADIO}_302_0.json"
    )
    (folder / "videos" / f"{RADIO}_302_0.mp4").unlink()
    (folder / "videos" / f"{RADIO}_303_0.mp4").unlink()
    (folder / "videos" / f"{RADIO}_303_0.mp4").symlink_to("nowhere")
    (folder / "json" / f"{RADIO}_304_0.json").unlink()
    (folder / "json" / f"{RADIO}_304_0.json").symlink_to("nowhere")
    write_file(folder / "again", f"{RADIO}_305_0", {}).unlink()
    assert main(["import-results", "--name", "comet", *options]) == 0
    film = results.official("comet") / "videos" / f"{RADIO}_302_0.mp4"
    assert film.read_bytes() == b"film of " + f"{RADIO}_302_0".encode()
    said = capsys.readouterr().err
    assert f"fault: {RADIO}_303_0: the video is missing" in said
    assert f"json/{RADIO}_304_0.json: cannot be read: No such file" in said
    places = f"again/videos/{RADIO}_305_0.mp4, videos/{RADIO}_305_0.mp4"
    assert f"{RADIO}_305_0: the run has more than one video of it: {places}" in said


def test_what_is_wrong_is_found_before_anything_is_removed(options, results, folder, capsys):
    assert main(["import-results", "--name", "comet", *options]) == 0
    before = results.imported("comet").read_bytes()
    capsys.readouterr()
    folder.rename(folder.with_name("moved"))
    for arguments, said in (
        (["--name", "comet"], f"{folder} is not a folder of results"),
        (["--name", "commet"], "no such section in 'imports': did you mean 'comet'?"),
        ([str(folder), "--name", "comet"], "'comet' is a section of 'imports', whose folder is"),
    ):
        assert main(["import-results", *arguments, *options]) == 1
        assert said in capsys.readouterr().err
    assert results.imported("comet").read_bytes() == before
    assert len(list(results.official("comet").glob("json/*"))) == 10


def test_an_evaluation_that_was_played_here_is_never_replaced(options, results, capsys):
    episode = results.episode("comet", RADIO, 301, 0)
    episode.parent.mkdir(parents=True)
    episode.write_text("{}")
    assert main(["import-results", "--name", "comet", *options]) == 1
    assert "holds an evaluation that was played here (episodes)" in capsys.readouterr().err
    assert episode.exists()


def test_a_report_names_the_section_that_it_lacks(options, capsys):
    assert main(["report", *options]) == 1
    said = "imports.comet was not imported yet: hearth import-results --name comet"
    assert said in capsys.readouterr().err


def test_an_import_and_an_evaluation_have_names_of_their_own():
    values = {
        "experiment": "test", "benchmark": "household", "demonstrations": {},
        "runs": {"main": {}}, "evaluations": {"trained": {"policy": "main"}},
        "imports": {"trained": {"folder": "elsewhere"}},
    }  # fmt: skip
    with pytest.raises(SettingsError, match=r"imports.trained: an evaluation has this name"):
        validate_settings(values, source="test")
