"""A results tree with videos, goals and a baseline, for the page in the browser."""

from __future__ import annotations

import shutil
from pathlib import Path

from hearth.core.files import write_json
from hearth.core.results import Results
from hearth.core.sections import ReportSettings
from hearth.reporting.tables import write_leaderboard
from tests.unit.reporting.synthetic_film import write_film
from tests.unit.reporting.synthetic_results import episode, merged, write

TASKS = ("turning_on_radio", "picking_up_trash")
SCORES = [1.0, 0.5, 0.0] * 4
REPORT = ReportSettings(title="Browser test", baseline="untrained", bootstrap_samples=200)


def write_results(root: Path) -> None:
    """Three evaluations of two tasks: a trained one with films, its baseline, one held out."""
    film = root / "film.mp4"
    write_film(film)
    for task in TASKS:
        lines = []
        for instance, q in enumerate(SCORES):
            path = Results(root).episode("trained", task, instance, 0)
            write_json(path, {"q": q})
            shutil.copy(film, path.with_suffix(".mp4"))
            video = path.with_suffix(".mp4").relative_to(root).as_posix()
            goals = [
                {"text": "toggled_on radio", "initially": False, "now": q == 1.0},
                {"text": "on_top radio table", "initially": True, "now": q > 0.0},
            ]
            lines.append(episode(instance, q, video=video, goals=goals))
        lines.append(episode(len(SCORES), None, "missing", reason="not run yet"))
        write(root, merged("trained", task, lines))
        untrained = [episode(i, q) for i, q in enumerate([0.0] * 12 + [0.5])]
        write(root, merged("untrained", task, untrained, policy="untrained"))
        held_out = [episode(i, 0.5) for i in range(20, 26)]
        write(root, merged("held_out", task, held_out, split="hidden"))
    film.unlink()


def report(root: Path) -> None:
    write_leaderboard(root, ["trained", "untrained", "held_out"], TASKS, REPORT, seed=0)
