"""What the page loads when it is needed: episodes and comparisons, as small JavaScript files.

A browser that opened the page from a file system may not fetch a JSON file, but it may load a
script. So every file is one call, ``hearth.receive(name, value)``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hearth.core.files import write_text
from hearth.core.results import Results
from hearth.reporting.comparisons import Comparison, Comparisons
from hearth.reporting.figures import by_score, episode_kind
from hearth.reporting.files import Files
from hearth.reporting.labels import FailureLabels, Label, is_failure, result_hash
from hearth.reporting.leaderboard import Leaderboard
from hearth.reporting.merged import ABSENT, Episode, Evaluation, Goal

# How a goal literal fared: (at the start, at the end) -> mark.
_GOAL_MARKS = {(False, True): "+", (True, True): "=", (False, False): "-", (True, False): "!"}
_DIGITS = 6
ESTIMATE_COLUMNS = ("estimate", "low", "high", "p", "p_holm", "instances", "more_instances")


def write_page_data(root: Path, leaderboard: Leaderboard) -> set[Path]:
    """Write ``data/`` beside the page; returns its files. `root` is the results root."""
    files = Files(root)
    values = {
        f"episodes-{evaluation.name}": evaluation_data(
            files, evaluation, leaderboard.by_duration, labels
        )
        for evaluation, labels in zip(leaderboard.evaluations, leaderboard.labels, strict=True)
    }
    if leaderboard.comparisons.pairs:
        values["comparisons"] = comparisons_data(leaderboard.comparisons)
    written = set()
    for name, value in values.items():
        path = leaderboard.folder / "data" / f"{name}.js"
        content = json.dumps(value, separators=(",", ":"), allow_nan=False)
        write_text(path, f"hearth.receive({json.dumps(name)}, {content});\n")
        written.add(path)
    return written


def evaluation_data(
    files: Files, evaluation: Evaluation, tasks: Iterable[str], labels: FailureLabels
) -> dict[str, Any]:
    """Every episode of an evaluation, by task in the order of `tasks`, best first."""
    values = []
    for task in tasks:
        result = evaluation.results.get(task)
        episodes = by_score(result.episodes) if result else []
        goals = list(dict.fromkeys(goal.text for e in episodes for goal in e.goals))
        lines = []
        for episode in episodes:
            key = task, *episode.key
            line = episode_line(files, evaluation.name, task, episode, goals)
            if result and is_failure(episode):
                line["result"] = result_hash(result, episode)
                line["labels"] = _label_lines(labels.labels.get(key, ()))
            lines.append(line)
        values.append({"task": task, "goals": goals, "episodes": lines})
    return {"evaluation": evaluation.name, "tasks": values}


def episode_line(
    files: Files, evaluation: str, task: str, episode: Episode, goals: Iterable[str]
) -> dict[str, Any]:
    """One episode as the page shows it. `goals` are those of the task, in the order of the marks.

    A further thing to show of an episode is one more key here and one more part in viewer.js.
    """
    own = Results(Path()).episode(evaluation, task, *episode.key).as_posix()
    return {
        "instance": episode.instance_id,
        "rollout": episode.rollout_id,
        "status": episode.status,
        "kind": episode_kind(episode),
        "q": round(episode.q, _DIGITS),
        "text": describe(episode),
        "goals": _goal_marks(episode.goals, goals),
        "video": files.link(episode.video),
        "record": files.link(episode.record or own),
        "trace": files.link(episode.trace),
    }


def _goal_marks(found: Iterable[Goal], goals: Iterable[str]) -> str:
    """A mark per goal of the task; a blank for one that this episode's scene does not have."""
    marks = {goal.text: _GOAL_MARKS[goal.initially, goal.now] for goal in found}
    return "".join(marks.get(text, " ") for text in goals) if marks else ""


def _label_lines(labels: Iterable[Label]) -> list[dict[str, Any]]:
    return [asdict(label) for label in labels]


def describe(episode: Episode) -> str:
    """An episode in a line: which, how it ended, its score and length."""
    text = f"instance {episode.instance_id}, rollout {episode.rollout_id}: {episode.status}"
    reason = f" ({episode.reason})" if episode.reason else ""
    if episode.status in ABSENT:
        return f"{text}{reason}"
    steps = f", {episode.steps} steps" if episode.steps is not None else ""
    return f"{text}{reason}, q {episode.q:.2f}{steps}"


def comparisons_data(comparisons: Comparisons) -> dict[str, Any]:
    """Every pair of a split, overall and by task; the columns are `ESTIMATE_COLUMNS`."""
    tasks: dict[tuple[str, str], dict[str, list]] = {}
    for each in comparisons.tasks:
        tasks.setdefault((each.first, each.second), {})[str(each.task)] = _estimate(each)
    return {
        "columns": ESTIMATE_COLUMNS,
        "pairs": [
            {
                "first": pair.first,
                "second": pair.second,
                "split": pair.split,
                "overall": _estimate(pair),
                "tasks": tasks.get((pair.first, pair.second), {}),
            }
            for pair in comparisons.pairs
        ],
    }


def _estimate(comparison: Comparison) -> list[float | int | None]:
    """The values of `ESTIMATE_COLUMNS`."""
    found = comparison.difference
    numbers = (found.estimate, found.low, found.high, found.p_value, comparison.p_holm)
    rounded = [None if number is None else round(number, _DIGITS) for number in numbers]
    return [*rounded, found.instances, comparison.more_instances]
