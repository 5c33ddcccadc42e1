"""The page without a browser: links that lead somewhere, escaping, gaps, curves and stills."""

from __future__ import annotations

import html.parser
import re
from pathlib import Path

import numpy as np
import pytest
from synthetic_film import write_film
from synthetic_results import episode, merged, write, write_scores
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from hearth.core.attention_mask import AttentionMask, TokenGroup
from hearth.core.errors import DataError
from hearth.core.files import write_json
from hearth.core.results import Results
from hearth.core.sections import ReportSettings
from hearth.reporting import figures
from hearth.reporting.curves import read_curves
from hearth.reporting.data_figures import draw_correlation
from hearth.reporting.posters import write_poster
from hearth.reporting.tables import write_leaderboard

REPORT = ReportSettings(title="Radio & <trash>", baseline="untrained", bootstrap_samples=200)


def write_events(folder: Path, records: list[tuple[int, dict[str, float]]], suffix: str) -> None:
    writer = EventFileWriter(str(folder), filename_suffix=suffix)
    for step, values in records:
        entries = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        writer.add_event(Event(step=step, wall_time=0.0, summary=Summary(value=entries)))
    writer.close()


class Links(html.parser.HTMLParser):
    """Every file that the page refers to, and whether all tags close."""

    def __init__(self) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.ids: set[str] = set()

    def handle_starttag(self, tag, attrs):
        for key, value in attrs:
            if key in ("href", "src", "srcset", "poster", "data-video", "data-record") and value:
                self.links.add(value)
            if key == "id" and value:
                self.ids.add(value)


def read_page(root: Path) -> tuple[str, Links]:
    text = (root / "leaderboard" / "index.html").read_text()
    links = Links()
    links.feed(text)
    return text, links


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("results")
    lines = []
    for instance, q in enumerate([0.0, 1.0, 0.5, 1.0]):
        video = f"evaluation/trained/episodes/radio_{instance}_0.mp4"
        write_film(root / video, frames=10, size=32)
        write_json(Results(root).episode("trained", "radio", instance, 0), {"task": "radio"})
        lines.append(episode(instance, q, video=video))
    lines.append(episode(4, None, "crashed", reason="signal <11>"))
    write(root, merged("trained", "radio", lines))
    write_scores(root, "untrained", "radio", [0.0, 0.0, 0.5, 0.0, 0.0], policy="untrained")
    records = [(step, {"total": 2.0 / step, "action_trunk": 1.0}) for step in (1, 2, 3)]
    write_events(Results(root).tensorboard("main"), records, "")
    write_json(Results(root).trained("main"), {"step": 3, "losses": {"total": 0.25}})
    write_leaderboard(root, ["untrained", "trained"], ["radio", "trash"], REPORT, seed=0)
    return root


def test_every_link_leads_to_a_file_or_a_section(root):
    _, page = read_page(root)
    for link in page.links - {"data:,", "#"}:
        assert not re.match(r"[a-z]+:|//", link), f"{link} leaves the results folder"
        if link.startswith("#"):
            assert link[1:] in page.ids
        else:
            assert (root / "leaderboard" / link).is_file(), link
    assert "../evaluation/trained/episodes/radio_1_0.mp4" in page.links


def test_text_is_escaped_and_says_what_happened(root):
    text, _ = read_page(root)
    assert "<h1>Radio &amp; &lt;trash&gt;</h1>" in text
    assert "signal <11>" not in text
    data = (root / "leaderboard" / "data" / "episodes-trained.js").read_text()
    assert "crashed (signal <11>)" in data  # the page's script sets it as text, never as markup
    assert "INCOMPLETE: 1 crashed, 1 task without a result" in text
    assert "evaluation/trained/trash.json does not exist" in text
    assert str(root) not in text  # the page is the same on every machine


def test_nothing_readable_still_makes_a_page(tmp_path):
    write_leaderboard(tmp_path, ["none"], ["radio"], ReportSettings(), seed=0)
    text, _ = read_page(tmp_path)
    assert "No merged result of <strong>none</strong> could be read." in text
    assert "INCOMPLETE" in text


def test_first_success_and_first_failure_of_the_main_evaluation(root):
    text, page = read_page(root)
    shown = re.findall(r'<video controls preload="none" playsinline src="([^"]+)"', text)
    assert shown == [
        "../evaluation/trained/episodes/radio_1_0.mp4",
        "../evaluation/trained/episodes/radio_0_0.mp4",
    ]
    assert "figures/poster-radio-success.jpg" in page.links


def test_the_summary_sentence(root):
    text, _ = read_page(root)
    sentence = " ".join(re.sub(r"<[^>]+>", "", text.split('class="lead">')[1]).split())
    # (0 + 1 + 0.5 + 1 + 0) / 5 on one task, nothing on the other.
    assert sentence.startswith("On 2 tasks with 5 public instances each, trained scores q = 0.250")


def test_provenance_names_hashes_and_run(root):
    text, _ = read_page(root)
    for wanted in ("0123456789abcdef", "fedcba9876543210", "losses.total", "hearth 0."):
        assert wanted in text


def test_figures_of_the_data_are_shown_where_they_were_drawn(tmp_path):
    write_scores(tmp_path, "one", "radio", [1.0, 0.5])
    report = ReportSettings(bootstrap_samples=100)
    write_leaderboard(tmp_path, ["one"], ["radio"], report, seed=0)
    assert "data" not in read_page(tmp_path)[1].ids
    results = Results(tmp_path)
    figures.write_figure(results.statistics_figures, "correlation", draw_correlation(np.eye(4), 2))
    write_leaderboard(tmp_path, ["one"], ["radio"], report, seed=0)
    text, page = read_page(tmp_path)
    assert "data" in page.ids and "Correlation of the actions" in text
    assert "../statistics/figures/correlation-dark.svg" in page.links
    assert not any("tokens" in link for link in page.links)


def test_mixing_weights_of_a_run_are_drawn_from_its_bundle(tmp_path):
    write_scores(tmp_path, "one", "radio", [1.0, 0.5])
    for run in ("main", "plain", "broken"):
        write_events(Results(tmp_path).tensorboard(run), [(1, {"total": 1.0})], "")
        Results(tmp_path).bundle(run).mkdir(parents=True)
    weights = {f"kv_mixing/{name}_weights": np.eye(2, 3) for name in ("key", "value")}
    np.savez(Results(tmp_path).bundle("main") / "parameters.npz", **weights)
    np.savez(Results(tmp_path).bundle("plain") / "parameters.npz", other=np.zeros(1))
    (Results(tmp_path).bundle("broken") / "parameters.npz").write_bytes(b"half")
    write_leaderboard(tmp_path, ["one"], ["radio"], ReportSettings(bootstrap_samples=100), seed=0)
    text, page = read_page(tmp_path)
    assert {link for link in page.links if "mixing" in link} == {
        "figures/mixing-main-light.svg", "figures/mixing-main-dark.svg",
    }  # fmt: skip
    assert "cannot read runs/broken/policy/parameters.npz" in text
    assert "figures/training-broken-light.svg" in page.links


def test_the_attention_mask_of_a_run_is_drawn_from_its_bundle(tmp_path):
    write_scores(tmp_path, "one", "radio", [1.0, 0.5])
    for run in ("main", "plain", "broken"):
        write_events(Results(tmp_path).tensorboard(run), [(1, {"total": 1.0})], "")
        Results(tmp_path).bundle(run).mkdir(parents=True)
    groups = (TokenGroup("images", 48), TokenGroup("FAST", 3))
    mask = AttentionMask(groups, (("all", "none"), ("all", "causal")))
    mask.save(Results(tmp_path).bundle("main") / "attention_mask.json")
    (Results(tmp_path).bundle("broken") / "attention_mask.json").write_text('{"groups"')
    write_leaderboard(tmp_path, ["one"], ["radio"], ReportSettings(bootstrap_samples=100), seed=0)
    text, page = read_page(tmp_path)
    assert {link for link in page.links if "attention" in link} == {
        "figures/attention-main-light.svg", "figures/attention-main-dark.svg",
    }  # fmt: skip
    assert "images: images; FAST: images, FAST before it" in text
    assert "runs/broken/policy/attention_mask.json is not valid JSON" in text
    drawn = (tmp_path / "leaderboard" / "figures" / "attention-main-dark.svg").read_text()
    assert {">images<", ">48<", ">FAST<", ">3<"} <= set(re.findall(r">[^<>]+<", drawn))


def test_figures_of_evaluations_that_are_gone_are_removed(tmp_path):
    write_scores(tmp_path, "one", "radio", [1.0, 0.5])
    write_scores(tmp_path, "two", "radio", [1.0, 0.5])
    report = ReportSettings(bootstrap_samples=100)
    write_leaderboard(tmp_path, ["one", "two"], ["radio"], report, seed=0)
    write_leaderboard(tmp_path, ["one"], ["radio"], report, seed=0)
    names = {path.name for path in (tmp_path / "leaderboard" / "figures").iterdir()}
    assert names == {"scores-light.svg", "episodes-one-light.svg"}


def test_a_damaged_video_and_event_file_are_faults_not_failures(tmp_path):
    video = "evaluation/one/episodes/radio_0_0.mp4"
    (tmp_path / video).parent.mkdir(parents=True)
    (tmp_path / video).write_bytes(b"not a film")
    write(tmp_path, merged("one", "radio", [episode(0, 1.0, video=video), episode(1, 1.0)]))
    write_leaderboard(tmp_path, ["one"], ["radio"], ReportSettings(bootstrap_samples=100), seed=0)
    text, _ = read_page(tmp_path)
    assert "cannot show video" in text
    with pytest.raises(DataError, match="cannot show video"):
        write_poster(tmp_path / video, tmp_path / "still.jpg")


def test_a_resumed_run_takes_back_what_was_lost(tmp_path):
    write_events(tmp_path, [(step, {"total": 1.0}) for step in (10, 20, 30, 40)], ".1")
    write_events(tmp_path, [(step, {"total": 2.0}) for step in (25, 35)], ".2")
    first, second = sorted(tmp_path.iterdir(), key=lambda path: path.suffix)
    # The names begin with the second of their creation; the order must not hang on that here.
    first.rename(tmp_path / "events.out.tfevents.1.host")
    second.rename(tmp_path / "events.out.tfevents.2.host")
    (curve,) = read_curves(tmp_path)
    assert curve.steps.tolist() == [10, 20, 25, 35]
    assert curve.values.tolist() == [1.0, 1.0, 2.0, 2.0]


def test_curves_that_belong_together_share_a_panel(tmp_path):
    tags = ["total", "stage", "action_trunk", "learning_rate", "time/step"]
    write_events(tmp_path, [(1, dict.fromkeys(tags, 1.0))], "")
    panels = {curve.tag: (curve.panel, curve.label) for curve in read_curves(tmp_path)}
    assert panels == {
        "total": ("loss", "total"),
        "stage": ("loss", "stage"),
        "action_trunk": ("action loss by group", "trunk"),
        "learning_rate": ("learning rate", "learning rate"),
        "time/step": ("time", "step"),
    }
    assert read_curves(tmp_path / "nowhere") == []
