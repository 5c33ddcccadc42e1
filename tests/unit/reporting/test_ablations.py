"""Ablations of the runtime: every variant against the full system, as table, chart and section."""

from __future__ import annotations

import csv

import pytest
from pyarrow import parquet
from synthetic_results import episode, merged, write, write_scores

from hearth.core.ablations import AblationSettings
from hearth.core.errors import EvaluationError
from hearth.core.sections import ReportSettings
from hearth.reporting.ablations import build_ablations, write_ablations
from hearth.reporting.significance import holm
from hearth.reporting.tables import write_leaderboard

TASKS = ("radio", "trash")
REPORT = ReportSettings(bootstrap_samples=500)
VARIANTS = {"blind": {"inpainting": False}, "fast": {"compression": 1.3, "flow_steps": 5}}
SETTINGS = AblationSettings(base="full", variants=VARIANTS)


@pytest.fixture
def root(tmp_path):
    scores = {
        "full": ([1.0] * 10, [1.0] * 8 + [0.5] * 2),
        "blind": ([0.0] * 9 + [1.0], [0.0] * 10),
        "fast": ([1.0] * 9 + [0.5], [1.0] * 8 + [0.5, 1.0]),
    }
    for name, (radio, trash) in scores.items():
        write_scores(tmp_path, name, "radio", radio, policy_hash="one", config_hash=name)
        write_scores(tmp_path, name, "trash", trash, policy_hash="one", config_hash=name)
    return tmp_path


def written(root, settings=SETTINGS):
    ablations = build_ablations(root, settings, TASKS, REPORT, seed=0)
    write_ablations(ablations)
    return ablations


def lines(root):
    with (root / "leaderboard/ablations.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_variant_is_compared_with_the_full_system_on_the_same_instances(root):
    ablations = build_ablations(root, SETTINGS, TASKS, REPORT, seed=0)
    full, blind, fast = ablations.overall
    assert full.row.difference is None and full.p_holm is None and not full.overrides
    assert blind.row.difference.estimate == pytest.approx((-0.9 - 0.9) / 2)
    assert fast.row.difference.estimate == pytest.approx((-0.05 + 0.05) / 2)
    assert blind.row.difference.instances == 20
    assert blind.row.difference.low < -0.9 < blind.row.difference.high < 0.0
    assert ablations.told_apart(blind) and not ablations.told_apart(fast)
    assert blind.more_instances == 0 and fast.more_instances is None


def test_the_correction_is_across_the_comparisons_with_the_full_system_alone(root):
    """Not across all pairs: variants are not compared with each other."""
    ablations = build_ablations(root, SETTINGS, TASKS, REPORT, seed=0)
    expected = holm([a.row.difference.p_value for a in ablations.variants])
    assert [a.p_holm for a in ablations.variants] == pytest.approx(expected)
    pairs = {p.p_holm for p in ablations.board.comparisons.pairs if "full" in (p.first, p.second)}
    assert len(ablations.board.comparisons.pairs) == 3 and set(expected) != pairs
    tasks = [a for a in ablations.tasks if a.name == "blind"]
    assert [a.row.task for a in tasks] == list(TASKS)
    expected = holm([a.row.difference.p_value for a in tasks])
    assert [a.p_holm for a in tasks] == pytest.approx(expected)


def test_settled_is_what_the_correction_tells_apart(tmp_path):
    # Two variants of p = 0.031 each: 0.0625 after the correction.
    write_scores(tmp_path, "full", "radio", [1.0] * 10)
    for name in VARIANTS:
        write_scores(tmp_path, name, "radio", [0.0] * 6 + [1.0] * 4, config_hash=name)
    found = build_ablations(tmp_path, SETTINGS, ["radio"], REPORT, seed=0)
    for variant in found.variants:
        assert variant.row.difference.p_value < 0.05 < variant.p_holm
        assert variant.more_instances > 0 and not found.told_apart(variant)
    for variant in (a for a in found.tasks if a.p_holm is not None):  # one task: nothing to correct
        assert variant.more_instances == 0 and found.told_apart(variant)


def test_the_table_has_the_settings_order_and_the_tasks(root):
    written(root)
    found = lines(root)
    assert [(line["ablation"], line["task"]) for line in found] == [
        ("full", ""), ("blind", ""), ("fast", ""),
        ("full", "radio"), ("full", "trash"), ("blind", "radio"), ("blind", "trash"),
        ("fast", "radio"), ("fast", "trash"),
    ]  # fmt: skip
    assert [line["overrides"] for line in found[:3]] == [
        "", "inpainting=false", "compression=1.3, flow_steps=5",
    ]  # fmt: skip
    assert [line["told_apart"] for line in found[:3]] == ["", "yes", "no"]
    assert found[1]["difference"] == "-0.900000" and found[0]["difference"] == ""
    assert found[5]["difference"] == "-0.900000"
    table = parquet.read_table(root / "leaderboard/ablations.parquet")
    assert table.column_names == list(found[0]) and table.num_rows == 9


def test_the_chart_names_every_variant_and_files_are_the_same_each_time(root):
    written(root)
    names = ("ablations.csv", "ablations-light.svg", "ablations-dark.svg")
    before = [(root / "leaderboard" / name).read_bytes() for name in names]
    for image in before[1:]:
        for text in (b"blind", b"inpainting=false", b"fast", b"q against full, same instances"):
            assert text in image
    written(root)
    assert [(root / "leaderboard" / name).read_bytes() for name in names] == before


def test_gaps_are_written_and_are_an_error_unless_allowed(root):
    scores = [episode(i, 1.0) for i in range(9)] + [episode(9, None, "crashed")]
    write(root, merged("fast", "radio", scores))
    (root / "evaluation/blind/radio.json").unlink()
    ablations = written(root)
    complete = {line["ablation"]: line["complete"] for line in lines(root)[:3]}
    assert complete == {"full": "yes", "blind": "INCOMPLETE", "fast": "INCOMPLETE"}
    assert ablations.overall[1].row.difference.tasks == 1  # what both have played
    with pytest.raises(EvaluationError, match=r"fast \(1 crashed\); blind \(1 task"):
        ablations.board.check_complete(REPORT)
    ablations.board.check_complete(REPORT.model_copy(update={"allow_incomplete": True}))


def test_a_variant_without_results_stands_there_without_a_difference(root):
    settings = AblationSettings(base="full", variants={**VARIANTS, "slow": {"flow_steps": 20}})
    ablations = written(root, settings)
    assert ablations.overall[3].row.difference is None and ablations.overall[3].p_holm is None
    assert ablations.overall[1].p_holm < 0.05  # the others are corrected among themselves
    svg = (root / "leaderboard/ablations-light.svg").read_text()
    assert "no shared episodes" in svg


def test_the_page_shows_them_where_the_experiment_has_them(root):
    write_leaderboard(root, ["full"], TASKS, REPORT, seed=0)
    page = (root / "leaderboard/index.html").read_text()
    assert (
        "ablations" not in page and not (root / "leaderboard/figures/ablations-light.svg").exists()
    )
    written(root)
    write_leaderboard(root, ["full"], TASKS, REPORT, seed=0, ablations=SETTINGS)
    page = (root / "leaderboard/index.html").read_text()
    section = page[page.index('<section id="ablations">') :]
    section = section[: section.index("</section>")]
    assert "inpainting=false" in section and "\N{MINUS SIGN}0.900" in section
    assert 'href="ablations.csv"' in section and 'href="#ablations"' in page
    assert (root / "leaderboard/figures/ablations-dark.svg").is_file()
