"""The leaderboard page: one static HTML file that opens from a file system, without a network."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import jinja2

from hearth.core.errors import DataError
from hearth.core.files import read_json, write_text
from hearth.core.results import Results
from hearth.core.sections import ReportSettings
from hearth.reporting import figures, wording
from hearth.reporting.ablation_figure import draw_ablations
from hearth.reporting.ablations import Ablations
from hearth.reporting.clips import first_clips
from hearth.reporting.curves import read_curves
from hearth.reporting.data_figures import drawn_figures
from hearth.reporting.labels import LABEL_FORMAT, Reason
from hearth.reporting.leaderboard import Leaderboard, Row, gap_text
from hearth.reporting.markdown import more_text
from hearth.reporting.merged import STATUSES, Evaluation
from hearth.reporting.merged_files import fault_text
from hearth.reporting.model_figures import (
    describe_mask,
    draw_mask,
    draw_mixing,
    read_mask,
    read_mixing,
)
from hearth.reporting.page_data import describe, write_page_data

T = TypeVar("T")
_PACKAGES = (
    "hearth",
    "numpy",
    "scipy",
    "statsmodels",
    "matplotlib",
    "mujoco",
    "jax",
    "flax",
    "bddl",
)
_FEW_EPISODES = 400  # up to here the matrices of all evaluations are shown unfolded


def write_page(
    root: Path,
    leaderboard: Leaderboard,
    report: ReportSettings,
    ablations: Ablations | None = None,
) -> None:
    """Write the figures and then ``index.html``, which links to them, below the leaderboard."""
    faults = list(leaderboard.faults)
    runs, kept = _write_figures(root, leaderboard, faults)
    if ablations:
        folder = leaderboard.folder / "figures"
        drawn = figures.write_figure(folder, "ablations", draw_ablations(ablations))
        kept |= {folder / name for name in drawn}
    main = main_evaluation(leaderboard)
    clips = first_clips(root, leaderboard.folder, main, faults)
    kept |= {leaderboard.folder / clip.poster for _, shown in clips for clip in shown}
    kept |= write_page_data(root, leaderboard)
    template = _environment().get_template("index.html.j2")
    html = template.render(
        title=report.title,
        board=leaderboard,
        ablations=ablations,
        ablation_scale=_difference_scale(ablations.board) if ablations else 1.0,
        tasks=_by_task(leaderboard.task_rows),
        summary=_summary(leaderboard, main),
        main=main,
        clips=clips,
        few_episodes=sum(row.episodes_due for row in leaderboard.rows) <= _FEW_EPISODES,
        facts=_facts(leaderboard, main),
        reasons_by_share=_reasons_by_share(leaderboard),
        faults=faults,
        runs=runs,
        data_figures=drawn_figures(Results(root)),
        difference_scale=_difference_scale(leaderboard),
        percent=f"{100 * leaderboard.confidence:g} %",
        level=1.0 - leaderboard.confidence,
        level_percent=f"{100 * (1.0 - leaderboard.confidence):.3g} %",
        samples=f"{report.bootstrap_samples:,}",
        provenance=_provenance(root, leaderboard),
        versions=_versions(),
        statuses=STATUSES,
    )
    write_text(leaderboard.folder / "index.html", html)
    for place in (leaderboard.folder / "figures", leaderboard.folder / "data"):
        for stale in [file for file in place.iterdir() if file not in kept]:
            stale.unlink()


def main_evaluation(leaderboard: Leaderboard) -> Evaluation:
    """The evaluation shown in most detail: the first that is neither baseline nor expert."""
    for evaluation in leaderboard.evaluations:
        if evaluation.name != leaderboard.baseline and evaluation.policy != "expert":
            return evaluation
    return leaderboard.evaluations[0]


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update(
        **wording.FILTERS, gap=gap_text, more=more_text, describe=describe,
    )  # fmt: skip
    return environment


def _write_figures(
    root: Path, leaderboard: Leaderboard, faults: list[str]
) -> tuple[list[dict[str, Any]], set[Path]]:
    """Draw all figures. Returns the runs that have training curves, and all files."""
    folder = leaderboard.folder / "figures"
    # In light alone: these two are not shown in the page, which has them as tables and squares.
    light = ("light",)
    written = figures.write_figure(folder, "scores", figures.draw_scores(leaderboard), light)
    for evaluation in leaderboard.evaluations:
        draw = figures.draw_episodes(evaluation, leaderboard.by_duration)
        written += figures.write_figure(folder, f"episodes-{evaluation.name}", draw, light)
    runs = []
    for path in sorted((root / "runs").glob("*")):
        curves = _readable(read_curves, Results(root).tensorboard(path.name), root, faults)
        mixing = _readable(read_mixing, Results(root).bundle(path.name), root, faults)
        mask = _readable(read_mask, Results(root).bundle(path.name), root, faults)
        if curves:
            drawn = {"training": figures.draw_training(curves)}
            drawn |= {"mixing": draw_mixing(mixing)} if mixing else {}
            drawn |= {"attention": draw_mask(mask)} if mask else {}
            for name, draw in drawn.items():
                written += figures.write_figure(folder, f"{name}-{path.name}", draw)
            runs.append(
                {
                    "name": path.name,
                    "steps": int(max(curve.steps[-1] for curve in curves)),
                    "mixing": mixing is not None,
                    "attention": describe_mask(mask) if mask else "",
                }
            )
    return runs, {folder / name for name in written}


def _readable(read: Callable[[Path], T], place: Path, root: Path, faults: list[str]) -> T | None:
    """What `read` finds at `place`; None where it cannot be read, which is a fault."""
    try:
        return read(place)
    except DataError as error:
        faults.append(fault_text(error, root))
        return None


def _facts(leaderboard: Leaderboard, main: Evaluation) -> dict[str, Any]:
    """What the page's scripts know from the start; the rest they load."""
    return {
        "main": main.name,
        "level": 1.0 - leaderboard.confidence,
        "confidence": leaderboard.confidence,
        "scale": _difference_scale(leaderboard),
        "evaluations": [
            {"name": evaluation.name, "split": evaluation.split}
            for evaluation in leaderboard.evaluations
        ],
        "reasons": [reason.model_dump() for reason in leaderboard.reasons],
        "label_format": LABEL_FORMAT,
    }


def _reasons_by_share(leaderboard: Leaderboard) -> list[Reason]:
    """The reasons that were given, most frequent over all labelled episodes first."""
    totals = {
        reason: sum(labels.episodes(reason.name) for labels in leaderboard.labels)
        for reason in leaderboard.reasons
    }
    return sorted((reason for reason in totals if totals[reason]), key=lambda r: -totals[r])


def _by_task(rows: Sequence[Row]) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(str(row.task), []).append(row)
    return groups


def _difference_scale(leaderboard: Leaderboard) -> float:
    """Half the width of the difference axis: the widest limit, rounded up to a quarter."""
    differences = [row.difference for row in (*leaderboard.rows, *leaderboard.task_rows)]
    differences += [pair.difference for pair in leaderboard.comparisons.pairs]
    ends = [
        abs(end)
        for difference in differences
        if difference
        for end in (difference.low, difference.high, difference.estimate)
        if end is not None
    ]
    return min(1.0, (int(max(ends, default=1.0) * 4 - 1e-9) + 1) / 4)


def _summary(leaderboard: Leaderboard, main: Evaluation) -> dict[str, Any]:
    """The numbers of the page's opening sentence."""
    row = next(row for row in leaderboard.rows if row.evaluation == main.name)
    instances = sorted({result.instances for result in main.results.values()})
    return {
        "row": row,
        "instances": "-".join(str(count) for count in {*instances[:1], *instances[-1:]}) or "no",
    }


def _provenance(root: Path, leaderboard: Leaderboard) -> dict[str, Any]:
    """Where every number comes from: hashes of policies, settings and merged files; run markers."""
    evaluations = [
        {
            "name": evaluation.name,
            "policy": evaluation.policy,
            "split": evaluation.split,
            "tasks": list(evaluation.results.values()),
        }
        for evaluation in leaderboard.evaluations
    ]
    runs = {}
    for path in sorted((root / "runs").glob("*")):
        entries: dict[str, str] = {}
        results = Results(root)
        for file in (results.trained(path.name), results.bundle(path.name) / "provenance.json"):
            if file.is_file():
                entries.update(_flat(read_json(file)))
        if entries:
            runs[path.name] = dict(sorted(entries.items()))
    return {"evaluations": evaluations, "runs": runs}


def _flat(value: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, below in value.items():
            yield from _flat(below, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, f"{value:.6g}" if isinstance(value, float) else str(value)


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
