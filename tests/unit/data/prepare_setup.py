"""What the tests of preparation share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hearth.benchmark import Benchmark
from hearth.core.settings import Settings
from hearth.data.lerobot import Dataset, open_dataset
from hearth.data.preparation import Preparation

RADIO, TRASH = "turning_on_radio", "picking_up_trash"
Maker = Callable[..., Settings]


def dataset_of(settings: Settings, benchmark: Benchmark) -> Dataset:
    return open_dataset(settings.data.dataset or "", benchmark)


def change(settings: Settings, **data: object) -> Settings:
    return settings.model_copy(update={"data": settings.data.model_copy(update=data)})


def count_episodes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The episodes that are really worked on, in order."""
    done: list[int] = []
    original = Preparation.prepare

    def counting(work: Preparation, episode: int, part: Path, fingerprint: str) -> str | None:
        done.append(episode)
        return original(work, episode, part, fingerprint)

    monkeypatch.setattr(Preparation, "prepare", counting)
    return done
