"""Published results beside our own: figures of other teams, without episodes behind them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from hearth.benchmark.benchmark import default_folder
from hearth.core.errors import SettingsError
from hearth.core.sections import Fraction


@dataclass(frozen=True)
class Reference:
    """A published row: a team's q-score and success rate on one split of all tasks."""

    team: str
    affiliation: str
    split: str
    q: float
    success_rate: float
    source: str


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Scores(_Facts):
    q: Fraction
    success_rate: Fraction


class _Team(_Facts):
    name: str
    affiliation: str
    public: _Scores
    hidden: _Scores


class _File(_Facts):
    source: str
    teams: tuple[_Team, ...]


def load_references(benchmark: str | None, folder: Path | None = None) -> tuple[Reference, ...]:
    """The published rows of a benchmark, within each split the best first; mostly none.

    Raises:
        SettingsError: the benchmark's file of references is not valid.
    """
    path = (folder or default_folder() / "references") / f"{benchmark}.yaml"
    if benchmark is None or not path.is_file():
        return ()
    try:
        file = _File.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (ValidationError, yaml.YAMLError) as error:
        raise SettingsError(f"{path} holds no valid references: {error}") from error
    rows = [
        Reference(team.name, team.affiliation, split, scores.q, scores.success_rate, file.source)
        for team in file.teams
        for split, scores in (("public", team.public), ("hidden", team.hidden))
    ]
    return tuple(sorted(rows, key=lambda row: (row.split != "public", -row.q)))
