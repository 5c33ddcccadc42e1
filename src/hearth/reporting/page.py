"""The leaderboard page: one static HTML file that opens from a file system, without a network."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from hearth.core.errors import DataError
from hearth.core.files import read_json, write_text
from hearth.core.results import Results
from hearth.core.sections import ReportSettings
from hearth.reporting import figures, wording
from hearth.reporting.ablation_figure import draw_ablations
from hearth.reporting.ablations import Ablations
from hearth.reporting.curves import read_curves
from hearth.reporting.data_figures import drawn_figures
from hearth.reporting.leaderboard import Leaderboard, Row, gap_text
from hearth.reporting.markdown import more_text
from hearth.reporting.merged import ABSENT, STATUSES, Episode, Evaluation, fault_text
from hearth.reporting.posters import write_poster

_PACKAGES = ("hearth", "numpy", "scipy", "matplotlib", "mujoco", "jax", "flax", "bddl")
_FEW_EPISODES = 400  # up to here the matrices of all evaluations are shown unfolded


@dataclass(frozen=True)
class Cell:
    """One episode in the matrix: its link, colour and description."""

    episode: Episode
    kind: str
    link: str | None
    record: str | None
    video: str | None
    trace: str | None


@dataclass(frozen=True)
class Clip:
    """A video to show: which episode, whether it is the first success or failure, a still."""

    caption: str
    cell: Cell
    poster: str


def write_page(
    root: Path,
    leaderboard: Leaderboard,
    report: ReportSettings,
    ablations: Ablations | None = None,
) -> None:
    """Write the figures and then ``index.html``, which links to them, below the leaderboard."""
    faults = list(leaderboard.faults)
    folder = leaderboard.folder / "figures"
    runs, kept = _write_figures(root, leaderboard, faults)
    if ablations:
        kept |= set(figures.write_figure(folder, "ablations", draw_ablations(ablations)))
    main = main_evaluation(leaderboard)
    matrices = {
        evaluation.name: _matrix(root, leaderboard.folder, evaluation)
        for evaluation in leaderboard.evaluations
    }
    clips = _clips(root, leaderboard.folder, matrices[main.name], faults)
    kept |= {Path(clip.poster).name for _, shown in clips for clip in shown}
    template = _environment().get_template("index.html.j2")
    html = template.render(
        title=report.title,
        board=leaderboard,
        ablations=ablations,
        ablation_scale=_difference_scale(ablations.board) if ablations else 1.0,
        splits=_by_split(leaderboard.rows),
        tasks=_by_task(leaderboard.task_rows),
        summary=_summary(leaderboard, main),
        main=main,
        clips=clips,
        matrices=matrices,
        few_episodes=sum(row.episodes_due for row in leaderboard.rows) <= _FEW_EPISODES,
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
    for stale in [file for file in folder.iterdir() if file.name not in kept]:
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
        **wording.FILTERS, gap=gap_text, more=more_text, q_short=_q_short, describe=_describe,
    )  # fmt: skip
    return environment


def _write_figures(
    root: Path, leaderboard: Leaderboard, faults: list[str]
) -> tuple[list[dict[str, Any]], set[str]]:
    """Draw all figures. Returns the runs that have training curves and the names of all files."""
    folder = leaderboard.folder / "figures"
    written = figures.write_figure(folder, "scores", figures.draw_scores(leaderboard))
    for evaluation in leaderboard.evaluations:
        draw = figures.draw_episodes(evaluation)
        written += figures.write_figure(folder, f"episodes-{evaluation.name}", draw)
    runs = []
    for path in sorted((root / "runs").glob("*")):
        try:
            curves = read_curves(Results(root).tensorboard(path.name))
        except DataError as error:
            faults.append(fault_text(error, root))
            continue
        if curves:
            draw = figures.draw_training(curves)
            written += figures.write_figure(folder, f"training-{path.name}", draw)
            runs.append({"name": path.name, "steps": int(max(c.steps[-1] for c in curves))})
    return runs, set(written)


def _matrix(root: Path, folder: Path, evaluation: Evaluation) -> list[tuple[str, list[Cell]]]:
    """Rows of the episode matrix: (task, cells by falling score)."""
    rows = []
    for task in evaluation.tasks:
        result = evaluation.results.get(task)
        episodes = figures.by_score(result.episodes) if result else []
        rows.append((task, [_cell(root, evaluation.name, task, each) for each in episodes]))
    return rows


def _cell(root: Path, evaluation: str, task: str, episode: Episode) -> Cell:
    results = Results(root)
    path = results.episode(evaluation, task, episode.instance_id, episode.rollout_id)
    path = root / episode.record if episode.record else path
    record = f"../{path.relative_to(root).as_posix()}" if path.is_file() else None
    has_video = episode.video is not None and (root / episode.video).is_file()
    video = f"../{episode.video}" if has_video else None
    kind = figures.episode_kind(episode)
    trace = f"../{episode.trace}" if episode.trace else None
    return Cell(episode, kind, link=video or record, record=record, video=video, trace=trace)


def _clips(
    root: Path, folder: Path, matrix: Sequence[tuple[str, list[Cell]]], faults: list[str]
) -> list[tuple[str, list[Clip]]]:
    """Per task the first success and the first episode that was no success, if filmed."""
    shown = []
    for task, cells in matrix:
        filmed = sorted((c for c in cells if c.video), key=lambda c: c.episode.key)
        clips = []
        for caption, wanted in (("First success", True), ("First failure", False)):
            for cell in [c for c in filmed if (c.kind == "success") == wanted][:1]:
                name = f"figures/poster-{task}-{cell.kind}.jpg"
                try:
                    write_poster(root / str(cell.episode.video), folder / name)
                except DataError as error:
                    faults.append(fault_text(error, root))
                    continue
                clips.append(Clip(caption, cell, name))
        if clips:
            shown.append((task, clips))
    return shown


def _by_split(rows: Sequence[Row]) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.split, []).append(row)
    return groups


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


def _q_short(cell: Cell) -> str:
    """The text of a matrix cell: q in two or three characters; x crashed, - missing."""
    if not cell.episode.present:
        return "x" if cell.episode.status == "crashed" else "\N{EN DASH}"
    return {0.0: "0", 1.0: "1"}.get(cell.episode.q, f"{cell.episode.q:.2f}".lstrip("0"))


def _describe(cell: Cell) -> str:
    episode = cell.episode
    text = f"instance {episode.instance_id}, rollout {episode.rollout_id}: {episode.status}"
    if episode.status in ABSENT:
        return f"{text} ({episode.reason})" if episode.reason else text
    steps = f", {episode.steps} steps" if episode.steps is not None else ""
    reason = f" ({episode.reason})" if episode.reason else ""
    return f"{text}{reason}, q {episode.q:.2f}{steps}"
